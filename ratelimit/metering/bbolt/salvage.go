package bbolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Verify checks a file that no process has open, and returns what is not what was
// written. A file that does not exist has no findings.
func Verify(path string, timeout time.Duration) ([]Finding, error) {
	c, err := read(path, timeout, nil)
	if c == nil || err != nil {
		return nil, err
	}
	return c.findings, nil
}

// read checks a file; it returns nil if it is missing or empty.
func read(path string, timeout time.Duration, v visitor) (*checker, error) {
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := lock(file, timeout); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	return check(file, info.Size(), v), nil
}

// Verify checks an open file as it is at this moment, while others use it. One that cannot
// be read any more is a finding too.
func (db *DB) Verify() (findings []Finding, err error) {
	temporary, err := os.CreateTemp("", "verify-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(temporary.Name())
	defer temporary.Close()
	var size int64
	err = db.View(func(tx *Tx) (err error) {
		size, err = tx.tx.WriteTo(temporary)
		return err
	})
	var damage *durable.DamageError
	switch {
	case errors.As(err, &damage):
		return []Finding{{damage.Offset, damage.What}}, nil
	case errors.Is(err, io.EOF):
		return []Finding{{-1, unreadable}}, nil
	case err != nil:
		return nil, err
	}
	return check(io.NewSectionReader(temporary, 0, size), size, nil).findings, nil
}

// Salvaged says what Salvage copied.
type Salvaged struct {
	Findings []Finding // what is not whole in the damaged file
	Values   int       // how many were copied
}

// Salvage copies all values that are whole from a damaged file into a new one, which
// must not exist.
func Salvage(from, to string, timeout time.Duration) (s Salvaged, err error) {
	var whole collected
	c, err := read(from, timeout, &whole)
	if err != nil {
		return s, err
	}
	if c == nil {
		return s, &durable.DamageError{File: from, Offset: -1, What: "it is empty or missing"}
	}
	s.Findings, s.Values = c.findings, len(whole.values)
	db, err := Open(to, 0o600, &Options{Timeout: timeout})
	if err != nil {
		return s, err
	}
	return s, errors.Join(whole.write(db, c.sequence), db.Close())
}

// sequence returns the sequence of a bucket: what was kept of it with a checksum, and
// what the bucket itself says only where that may be lost.
func (c *checker) sequence(path []byte) uint64 {
	n, ok := c.kept[string(path)]
	if !ok && !c.allKept {
		n = c.seen[string(path)]
	}
	return n
}

// write writes all to a new file. sequence returns that of the bucket with a path.
func (whole *collected) write(db *DB, sequence func(path []byte) uint64) error {
	for part := range slices.Chunk(whole.values, 10_000) {
		if err := db.Update(func(tx *Tx) error { return put(tx, part) }); err != nil {
			return err
		}
	}
	return db.Update(func(tx *Tx) error {
		for _, names := range whole.buckets {
			bucket, err := create(tx, names)
			if err != nil {
				return err
			}
			n := sequence(bucket.path)
			if n == 0 {
				continue
			}
			if err := bucket.bolt.SetSequence(n); err != nil {
				return err
			}
			if err := tx.keepSequence(bucket.path, n); err != nil {
				return err
			}
		}
		return nil
	})
}

func put(tx *Tx, values []collectedValue) error {
	for _, v := range values {
		bucket, err := create(tx, v.names)
		if err != nil {
			return err
		}
		if err := bucket.Put(v.key, v.value); err != nil {
			return err
		}
	}
	return nil
}

// create returns the bucket with a path.
func create(tx *Tx, names [][]byte) (*Bucket, error) {
	bucket, err := tx.CreateBucketIfNotExists(names[0])
	for _, name := range names[1:] {
		if err == nil {
			bucket, err = bucket.CreateBucketIfNotExists(name)
		}
	}
	return bucket, err
}

// collected is what is whole in a file.
type collected struct {
	values  []collectedValue
	buckets [][][]byte // their paths
}

type collectedValue struct {
	names      [][]byte
	key, value []byte
}

func (c *collected) bucket(names [][]byte) { c.buckets = append(c.buckets, cloneNames(names)) }

func (c *collected) value(names [][]byte, key, value []byte) {
	c.values = append(c.values, collectedValue{cloneNames(names), bytes.Clone(key), bytes.Clone(value)})
}

func cloneNames(names [][]byte) [][]byte {
	all := make([][]byte, len(names))
	for i := range names {
		all[i] = bytes.Clone(names[i])
	}
	return all
}
