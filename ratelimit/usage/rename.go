package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// Renamed is a [Sink] that had another name before. What it was told is kept
// under names: under the new one it would be told all again.
type Renamed interface {
	// FormerName is the name it had; "" for none.
	FormerName() string
}

// Rename has what a sink was told kept under its new name, in one transaction: how
// far it is in the news, what is due, and the pages. It does nothing where nothing
// is kept under the former name, so it may be done again. What the new name has
// already stays.
func (b *LineStore) Rename(former, name string) error {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	kept := false
	err := b.with(false, func(tx *bbolt.Tx) error {
		kept = keptUnder(tx, []byte(former))
		return nil
	})
	if err != nil || !kept {
		return err
	}
	return b.with(true, func(tx *bbolt.Tx) error {
		if err := renameCursor(tx.Bucket(bucketCursors), []byte(former), []byte(name)); err != nil {
			return fmt.Errorf("renaming %s: %w", name, err)
		}
		for _, bucket := range [][]byte{bucketDue, bucketPages} {
			if err := renameBucket(tx.Bucket(bucket), []byte(former), []byte(name)); err != nil {
				return fmt.Errorf("renaming %s: %w", name, err)
			}
		}
		return nil
	})
}

func keptUnder(tx *bbolt.Tx, name []byte) bool {
	if cursors := tx.Bucket(bucketCursors); cursors != nil && cursors.Get(name) != nil {
		return true
	}
	for _, bucket := range [][]byte{bucketDue, bucketPages} {
		if all := tx.Bucket(bucket); all != nil && all.Bucket(name) != nil {
			return true
		}
	}
	return false
}

func renameCursor(cursors *bbolt.Bucket, former, name []byte) error {
	if cursors == nil || cursors.Get(former) == nil {
		return nil
	}
	if cursors.Get(name) == nil {
		if err := cursors.Put(name, bytes.Clone(cursors.Get(former))); err != nil {
			return err
		}
	}
	return cursors.Delete(former)
}

func renameBucket(all *bbolt.Bucket, former, name []byte) error {
	if all == nil || all.Bucket(former) == nil {
		return nil
	}
	into, err := all.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	err = all.Bucket(former).ForEach(func(k, v []byte) error {
		if into.Get(k) != nil {
			return nil
		}
		return into.Put(bytes.Clone(k), bytes.Clone(v))
	})
	if err != nil {
		return err
	}
	return all.DeleteBucket(former)
}

// renameChunk is how many pages are moved in Redis at once.
const renameChunk = 500

// RenamePages is Rename for the pages that gateways share in Redis: copied first,
// then removed, so it may break off anywhere and be done again. Who calls it has
// the turn under the former name, so that no gateway of a build before sends
// meanwhile.
func RenamePages(ctx context.Context, conn *redisconn.Conn, former, name string) error {
	for shard := range metering.Shards {
		if err := renamePages(ctx, conn, pagesKey(shard, former), pagesKey(shard, name)); err != nil {
			return fmt.Errorf("renaming %s in Redis: %w", name, err)
		}
	}
	return nil
}

func renamePages(ctx context.Context, conn *redisconn.Conn, from, to string) error {
	texts, err := conn.HashAll(ctx, from)
	if err != nil {
		return err
	}
	for pages := range slices.Chunk(slices.Sorted(maps.Keys(texts)), renameChunk) {
		there, err := conn.HashGet(ctx, to, pages...)
		if err != nil {
			return err
		}
		missing := make(map[string]string)
		for _, page := range pages {
			if _, newer := there[page]; !newer {
				missing[page] = texts[page]
			}
		}
		if err := conn.HashSetAll(ctx, to, missing); err != nil {
			return err
		}
		if err := conn.HashDelete(ctx, from, pages...); err != nil {
			return err
		}
	}
	return nil
}
