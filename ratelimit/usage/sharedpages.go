package usage

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// toldText is a script that writes a page unless somebody else changed it.
//
//go:embed told.lua
var toldText string

var toldScript = redisconn.NewScript(toldText)

// SharedPages are [Pages] of several gateways.
type SharedPages interface {
	Pages
	// Forget removes the shared pages of spans that began before a time.
	Forget(ctx context.Context, service string, before time.Time) error

	// Follow adds the shared pages of a service to the copy that this gateway has, so
	// that they survive the loss of the shared store.
	Follow(ctx context.Context, service string) error
}

// redisPages are pages in Redis: a gateway that becomes the leader knows what the
// one before has sent. A copy in the line store has them should Redis be emptied, or
// lose its last writes. What both say is joined when it is read.
type redisPages struct {
	conn *redisconn.Conn
	own  *storedPages
	read map[PageKey][]byte // what Redis had at the last Load
}

// NewSharedPages returns pages that are stored in Redis and in a line store. The
// hash in Redis is gw:{q:NN}:x:HASH, with the shard of the account and a hash of
// the service's name.
func NewSharedPages(store *LineStore, conn *redisconn.Conn) SharedPages {
	return &redisPages{conn: conn, own: &storedPages{store: store}}
}

const (
	// pagesWait bounds a call to Redis.
	pagesWait = 5 * time.Second
	// pagesChunk bounds how many pages are read or moved in Redis at once.
	pagesChunk = 500
)

func pagesKey(shard int, service string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(service)) // it returns no error
	return fmt.Sprintf("gw:{q:%02d}:x:%016x", shard, h.Sum64())
}

func (r *redisPages) Load(ctx context.Context, service string, keys []PageKey) (map[PageKey][]byte, error) {
	byShard, found := make(map[int][]string), make(map[PageKey][]byte)
	for _, k := range keys {
		shard := metering.Shard(k.Account)
		byShard[shard] = append(byShard[shard], string(pageText(k)))
	}
	for _, shard := range slices.Sorted(maps.Keys(byShard)) {
		texts, err := hashGet(ctx, r.conn, pagesKey(shard, service), byShard[shard])
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
	joined, err := r.own.Load(ctx, service, keys)
	if err != nil {
		return nil, err
	}
	r.read = found
	for key, text := range found {
		if joined[key], err = joinTexts(joined[key], text); err != nil {
			return nil, damaged(service, key, err)
		}
	}
	return joined, nil
}

// hashGet reads fields of a hash in time.
func hashGet(ctx context.Context, conn *redisconn.Conn, key string, fields []string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	return conn.HashGet(ctx, key, fields...)
}

// swap writes a page in Redis if it is what was read, or gone. Otherwise it returns what
// is there.
func swap(ctx context.Context, conn *redisconn.Conn, key, field string, read, text []byte) (other []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	reply, err := conn.Run(ctx, toldScript, key, field, read, text)
	if err != nil {
		return nil, err
	}
	if is, _ := reply.(string); is != "" {
		return []byte(is), nil
	}
	return nil, nil
}

func (r *redisPages) Save(ctx context.Context, service string, pages map[PageKey][]byte) (others map[PageKey][]byte, err error) {
	others = make(map[PageKey][]byte)
	saved := maps.Clone(pages)
	for k, text := range pages {
		other, err := swap(ctx, r.conn, pagesKey(metering.Shard(k.Account), service), string(pageText(k)), r.read[k], text)
		if err != nil {
			return nil, err
		}
		if other != nil {
			others[k] = other
			delete(saved, k)
		}
	}
	r.read = noted(r.read, pages, others)
	id, mark, err := r.own.joinTold(service, saved)
	if err != nil || mark == "" {
		return others, err
	}
	// Without the mark, Redis might be set back to before these pages and nobody would know.
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	return others, r.conn.HashSet(ctx, joinedKey, id, mark)
}

// Each implements Pages. Like Load, it joins what Redis and the copy say: Redis may have
// been set back to before something was told.
func (r *redisPages) Each(ctx context.Context, service string, visit func(PageKey, []byte) error) error {
	for shard := range metering.Shards {
		texts, err := r.conn.HashAll(ctx, pagesKey(shard, service))
		if err != nil {
			return err
		}
		keys := make([]PageKey, 0, len(texts))
		for name := range texts {
			key, err := parsePageText([]byte(name))
			if err != nil {
				return err
			}
			keys = append(keys, key)
		}
		own, err := r.own.Load(ctx, service, keys)
		if err != nil {
			return err
		}
		for _, key := range keys {
			text, err := joinTexts(own[key], []byte(texts[string(pageText(key))]))
			if err != nil {
				return damaged(service, key, err)
			}
			if err := visit(key, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// Forget implements SharedPages.
func (r *redisPages) Forget(ctx context.Context, service string, before time.Time) error {
	for shard := range metering.Shards {
		key := pagesKey(shard, service)
		texts, err := r.conn.HashAll(ctx, key)
		if err != nil {
			return err
		}
		var old []string
		for name := range texts {
			if k, err := parsePageText([]byte(name)); err != nil || k.older(before) {
				old = append(old, name)
			}
		}
		for chunk := range slices.Chunk(old, pagesChunk) {
			if err := r.conn.HashDelete(ctx, key, chunk...); err != nil {
				return err
			}
		}
	}
	return nil
}

// older reports whether the page is of a day before that of a time.
func (k PageKey) older(before time.Time) bool {
	return k.Span < before.UTC().Format(spanLayouts[24*time.Hour])
}

// Follow implements SharedPages.
func (r *redisPages) Follow(ctx context.Context, service string) error {
	pages := make(map[PageKey][]byte)
	err := r.Each(ctx, service, func(key PageKey, text []byte) error {
		pages[key] = text
		return nil
	})
	if err != nil {
		return err
	}
	return r.own.join(service, pages)
}

// contribute adds the pages of this gateway to those in Redis, but not those of spans
// that began before a time.
func (r *redisPages) contribute(ctx context.Context, since time.Time) error {
	services, err := r.own.store.Services()
	if err != nil {
		return err
	}
	for _, service := range services {
		byKey := make(map[string]map[string]string)
		err := r.own.Each(ctx, service, func(k PageKey, text []byte) error {
			if k.older(since) {
				return nil
			}
			key := pagesKey(metering.Shard(k.Account), service)
			if byKey[key] == nil {
				byKey[key] = make(map[string]string)
			}
			byKey[key][string(pageText(k))] = string(text)
			return nil
		})
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			if err := joinHash(ctx, r.conn, key, byKey[key]); err != nil {
				return fmt.Errorf("the outbox of %s: %w", service, err)
			}
		}
	}
	return nil
}

// joinHash adds what pages say to those of a hash in Redis.
func joinHash(ctx context.Context, conn *redisconn.Conn, key string, pages map[string]string) error {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(pages)), pagesChunk) {
		there, err := hashGet(ctx, conn, key, names)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := joinField(ctx, conn, key, name, []byte(there[name]), []byte(pages[name])); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinField adds what a page says to the one in a field of a hash in Redis, which was
// read.
func joinField(ctx context.Context, conn *redisconn.Conn, key, field string, read, page []byte) error {
	for range mostChanged {
		joined, err := joinTexts(read, page)
		if err != nil {
			return fmt.Errorf("the page %q: %w", field, err)
		}
		if string(joined) == string(read) {
			return nil
		}
		other, err := swap(ctx, conn, key, field, read, joined)
		if err != nil || other == nil {
			return err
		}
		read = other
	}
	return errChanged
}

// errOthers says that what other gateways told is not known yet.
var errOthers = errors.New("gateways that shared the store have not said what they told")
