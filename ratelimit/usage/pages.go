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

// bucketPages has the pages of each service.
var bucketPages = []byte("pages")

// Pages returns the pages that are kept in the line store.
func (b *LineStore) Pages() Pages { return (*storedPages)(b) }

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

// redisPages are for gateways that share a Redis: who goes on sending for one
// that is gone knows what that has sent. What a gateway has sent itself is in its
// line store too, also from before it had Redis.
type redisPages struct {
	conn *redisconn.Conn
	own  Pages
}

// NewSharedPages returns the pages that are kept in Redis, in gw:{q:NN}:x:SERVICE by
// the shard of the account, and in a line store.
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

// Forget removes the pages in Redis that began before a time.
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

// Follow copies the pages in Redis to the line store: a Redis that is emptied takes them
// from nobody.
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
	Forget(ctx context.Context, service string, before time.Time) error
	Follow(ctx context.Context, service string) error
}
