package usage

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// bucketPages has a bucket of pages for each service.
var bucketPages = []byte("pages")

// Pages returns pages that are stored in the line store's file.
func (b *LineStore) Pages() Pages { return (*storedPages)(b) }

// storedPages are pages in the file of a line store.
type storedPages LineStore

func (b *storedPages) Load(_ context.Context, service string, keys []PageKey) (map[PageKey][]byte, error) {
	found := make(map[PageKey][]byte)
	err := (*LineStore)(b).with(false, func(tx *bbolt.Tx) error {
		pages := tx.Bucket(bucketPages)
		if pages == nil || pages.Bucket([]byte(service)) == nil {
			return nil
		}
		for _, k := range keys {
			if text := pages.Bucket([]byte(service)).Get(pageText(k)); text != nil {
				found[k] = bytes.Clone(text)
			}
		}
		return nil
	})
	return found, err
}

func (b *storedPages) Save(_ context.Context, service string, pages map[PageKey][]byte) error {
	return (*LineStore)(b).with(true, func(tx *bbolt.Tx) error {
		all, err := tx.CreateBucketIfNotExists(bucketPages)
		if err != nil {
			return err
		}
		own, err := all.CreateBucketIfNotExists([]byte(service))
		if err != nil {
			return err
		}
		for k, text := range pages {
			if err := own.Put(pageText(k), text); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *storedPages) Each(_ context.Context, service string, visit func(PageKey, []byte) error) error {
	return (*LineStore)(b).with(false, func(tx *bbolt.Tx) error {
		pages := tx.Bucket(bucketPages)
		if pages == nil || pages.Bucket([]byte(service)) == nil {
			return nil
		}
		return pages.Bucket([]byte(service)).ForEach(func(k, text []byte) error {
			key, err := parsePageText(k)
			if err != nil {
				return err
			}
			return visit(key, text)
		})
	})
}

// redisPages are pages in Redis: a gateway that becomes the leader knows what the
// one before has sent. A copy in the line store keeps them should Redis be
// emptied, and has what was sent before there was a Redis.
type redisPages struct {
	conn *redisconn.Conn
	own  Pages
}

// NewSharedPages returns pages that are stored in Redis and in a line store. The
// hash in Redis is gw:{q:NN}:x:HASH, with the shard of the account and a hash of
// the service's name.
func NewSharedPages(store *LineStore, conn *redisconn.Conn) SharedPages {
	return redisPages{conn, store.Pages()}
}

// pagesWait bounds a call to Redis.
const pagesWait = 5 * time.Second

func pagesKey(shard int, service string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(service)) // it returns no error
	return fmt.Sprintf("gw:{q:%02d}:x:%016x", shard, h.Sum64())
}

func (r redisPages) Load(ctx context.Context, service string, keys []PageKey) (map[PageKey][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	byShard, found := make(map[int][]string), make(map[PageKey][]byte)
	for _, k := range keys {
		shard := metering.Shard(k.Account)
		byShard[shard] = append(byShard[shard], string(pageText(k)))
	}
	for _, shard := range slices.Sorted(maps.Keys(byShard)) {
		texts, err := r.conn.HashGet(ctx, pagesKey(shard, service), byShard[shard]...)
		if err != nil {
			return nil, err
		}
		for name, text := range texts {
			key, err := parsePageText([]byte(name))
			if err != nil {
				return nil, err
			}
			found[key] = []byte(text)
		}
	}
	if len(found) == len(keys) {
		return found, nil
	}
	own, err := r.own.Load(ctx, service, keys)
	if err != nil {
		return nil, err
	}
	maps.Copy(own, found)
	return own, nil
}

func (r redisPages) Save(ctx context.Context, service string, pages map[PageKey][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	for k, text := range pages {
		if err := r.conn.HashSet(ctx, pagesKey(metering.Shard(k.Account), service), string(pageText(k)), string(text)); err != nil {
			return err
		}
	}
	return r.own.Save(ctx, service, pages)
}

func (r redisPages) Each(ctx context.Context, service string, visit func(PageKey, []byte) error) error {
	for shard := range metering.Shards {
		texts, err := r.conn.HashAll(ctx, pagesKey(shard, service))
		if err != nil {
			return err
		}
		for name, text := range texts {
			key, err := parsePageText([]byte(name))
			if err == nil {
				err = visit(key, []byte(text))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Forget implements SharedPages.
func (r redisPages) Forget(ctx context.Context, service string, before time.Time) error {
	for shard := range metering.Shards {
		key := pagesKey(shard, service)
		texts, err := r.conn.HashAll(ctx, key)
		if err != nil {
			return err
		}
		var old []string
		for name := range texts {
			if k, err := parsePageText([]byte(name)); err != nil || k.Span < before.UTC().Format(spanLayouts[24*time.Hour]) {
				old = append(old, name)
			}
		}
		for chunk := range slices.Chunk(old, 500) {
			if err := r.conn.HashDelete(ctx, key, chunk...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Follow implements SharedPages.
func (r redisPages) Follow(ctx context.Context, service string) error {
	pages := make(map[PageKey][]byte)
	err := r.Each(ctx, service, func(key PageKey, text []byte) error {
		pages[key] = text
		return nil
	})
	if err != nil || len(pages) == 0 {
		return err
	}
	return r.own.Save(ctx, service, pages)
}

// SharedPages are [Pages] of several gateways.
type SharedPages interface {
	Pages
	// Forget removes the shared pages of spans that began before a time.
	Forget(ctx context.Context, service string, before time.Time) error

	// Follow copies the shared pages of a service to this gateway, which is not the
	// leader, so that they survive the loss of the shared store.
	Follow(ctx context.Context, service string) error
}
