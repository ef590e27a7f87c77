package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// Renamed is a [Sink] that had another name before. What a sink was told is stored
// by its name: without Rename it would be told everything again.
type Renamed interface {
	// FormerName returns the former name, "" if there was none.
	FormerName() string
}

// Rename moves what is stored under a sink's former name to its new one: its cursor,
// the due pages and the pages. What the new name has already stays, and pages of both
// are joined. It is one transaction, and does nothing if nothing is stored under the former name.
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
		keep := func(_, is []byte) ([]byte, error) { return is, nil }
		err := renameBucket(tx.Bucket(bucketDue), []byte(former), []byte(name), keep)
		if err == nil {
			err = renameBucket(tx.Bucket(bucketPages), []byte(former), []byte(name), joinTexts)
		}
		if err != nil {
			return fmt.Errorf("renaming %s: %w", name, err)
		}
		return b.withCopy(func(tx *bbolt.Tx) error {
			return renameBucket(tx.Bucket(bucketPages), []byte(former), []byte(name), joinTexts)
		})
	})
}

// keptUnder reports whether anything is stored under a name.
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

// renameBucket moves a bucket. both returns what to store where former and name have
// something.
func renameBucket(all *bbolt.Bucket, former, name []byte, both func(former, is []byte) ([]byte, error)) error {
	if all == nil || all.Bucket(former) == nil {
		return nil
	}
	into, err := all.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	err = all.Bucket(former).ForEach(func(k, v []byte) error {
		v = bytes.Clone(v)
		if is := into.Get(k); is != nil {
			var err error
			if v, err = both(v, bytes.Clone(is)); err != nil {
				return err
			}
		}
		return into.Put(bytes.Clone(k), v)
	})
	if err != nil {
		return err
	}
	return all.DeleteBucket(former)
}

// RenamePages moves the shared pages in Redis to a sink's new name. They are copied
// first and then removed, so that it can be repeated if it breaks off. The caller
// must be the leader under the former name, so that no gateway of an older build
// sends meanwhile.
func RenamePages(ctx context.Context, conn *redisconn.Conn, former, name string) error {
	for shard := range metering.Shards {
		if err := renamePages(ctx, conn, pagesKey(shard, former), pagesKey(shard, name)); err != nil {
			return fmt.Errorf("renaming %s in Redis: %w", name, err)
		}
	}
	return nil
}

// renamePages moves the pages of one shard.
func renamePages(ctx context.Context, conn *redisconn.Conn, from, to string) error {
	texts, err := conn.HashAll(ctx, from)
	if err != nil || len(texts) == 0 {
		return err
	}
	if err := joinHash(ctx, conn, to, texts); err != nil {
		return err
	}
	for pages := range slices.Chunk(slices.Sorted(maps.Keys(texts)), pagesChunk) {
		if err := conn.HashDelete(ctx, from, pages...); err != nil {
			return err
		}
	}
	return nil
}
