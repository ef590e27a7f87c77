package bbolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealSize is the length of the checksum after each value.
const sealSize = 4

// The bucket at the top level that says that all values have checksums. It holds the
// sequences of buckets, by their paths.
var (
	bucketSeals = []byte("sealed")
	keyVersion  = []byte("version") // no path: those begin with four bytes of length
	version     = []byte{1}
)

// pathOf appends a name to the path of a bucket: each name after its length.
func pathOf(parent, name []byte) []byte {
	path := append([]byte(nil), parent...)
	path = binary.BigEndian.AppendUint32(path, uint32(len(name)))
	return append(path, name...)
}

// seal returns the checksum of a value in the bucket with a path.
func seal(path, key, value []byte) (sum [sealSize]byte) {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(key)))
	c := crc32.Update(0, castagnoli, path)
	c = crc32.Update(c, castagnoli, size[:])
	c = crc32.Update(c, castagnoli, key)
	binary.BigEndian.PutUint32(sum[:], crc32.Update(c, castagnoli, value))
	return sum
}

// unseal returns a value without its checksum, false if that is wrong.
func unseal(path, key, sealed []byte) (value []byte, ok bool) {
	n := len(sealed) - sealSize
	if n < 0 {
		return nil, false
	}
	value = sealed[:n:n]
	return value, seal(path, key, value) == [sealSize]byte(sealed[n:])
}

// Tx is a transaction.
type Tx struct {
	tx     *bolt.Tx
	path   string // of the file
	damage error  // the first damaged value that was read
}

// Path returns the path of the file.
func (tx *Tx) Path() string { return tx.path }

// Bucket returns a bucket at the top level, nil if it does not exist.
func (tx *Tx) Bucket(name []byte) *Bucket { return tx.wrap(tx.tx.Bucket(name), nil, name) }

// CreateBucketIfNotExists returns a bucket at the top level, which it creates if need be.
func (tx *Tx) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	b, err := tx.tx.CreateBucketIfNotExists(name)
	return tx.wrap(b, nil, name), err
}

// DeleteBucket removes a bucket at the top level.
func (tx *Tx) DeleteBucket(name []byte) error {
	return errors.Join(tx.tx.DeleteBucket(name), tx.Bucket(bucketSeals).Delete(pathOf(nil, name)))
}

func (tx *Tx) wrap(b *bolt.Bucket, parent, name []byte) *Bucket {
	if b == nil {
		return nil
	}
	return &Bucket{bolt: b, tx: tx, path: pathOf(parent, name)}
}

// Bucket is a bucket in a transaction. A value that is damaged reads as missing, and
// makes the transaction fail.
type Bucket struct {
	bolt *bolt.Bucket
	tx   *Tx
	path []byte
}

// Tx returns the transaction.
func (b *Bucket) Tx() *Tx { return b.tx }

// open returns a value without its checksum. Nested buckets have none.
func (b *Bucket) open(key, sealed []byte) []byte {
	if sealed == nil {
		return nil
	}
	value, ok := unseal(b.path, key, sealed)
	if !ok {
		if b.tx.damage == nil {
			b.tx.damage = &durable.DamageError{File: b.tx.path, Offset: -1, What: fmt.Sprintf("the value under %q is not what was written", key)}
		}
		return nil
	}
	return value
}

// Get returns the value of a key, nil if there is none.
func (b *Bucket) Get(key []byte) []byte { return b.open(key, b.bolt.Get(key)) }

// Put sets the value of a key.
func (b *Bucket) Put(key, value []byte) error {
	sum := seal(b.path, key, value)
	sealed := make([]byte, 0, len(value)+sealSize)
	return b.bolt.Put(key, append(append(sealed, value...), sum[:]...))
}

// Delete removes a key.
func (b *Bucket) Delete(key []byte) error { return b.bolt.Delete(key) }

// errStopped ends ForEach at a damaged value.
var errStopped = errors.New("a value is damaged")

// ForEach calls fn with each key and value, and with nil for nested buckets.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error {
	return b.bolt.ForEach(func(k, v []byte) error {
		value := b.open(k, v)
		if v != nil && value == nil {
			return errStopped
		}
		return fn(k, value)
	})
}

// ForEachBucket calls fn with the name of each nested bucket.
func (b *Bucket) ForEachBucket(fn func(k []byte) error) error { return b.bolt.ForEachBucket(fn) }

// Bucket returns a nested bucket, nil if it does not exist.
func (b *Bucket) Bucket(name []byte) *Bucket { return b.tx.wrap(b.bolt.Bucket(name), b.path, name) }

// CreateBucketIfNotExists returns a nested bucket, which it creates if need be.
func (b *Bucket) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	nested, err := b.bolt.CreateBucketIfNotExists(name)
	return b.tx.wrap(nested, b.path, name), err
}

// DeleteBucket removes a nested bucket that has no sequence.
func (b *Bucket) DeleteBucket(name []byte) error { return b.bolt.DeleteBucket(name) }

// NextSequence returns a number that the bucket has not returned before.
func (b *Bucket) NextSequence() (uint64, error) {
	n, err := b.bolt.NextSequence()
	if err != nil {
		return 0, err
	}
	return n, b.tx.keepSequence(b.path, n)
}

// keepSequence keeps a bucket's sequence a second time, with a checksum.
func (tx *Tx) keepSequence(path []byte, n uint64) error {
	return tx.Bucket(bucketSeals).Put(path, binary.BigEndian.AppendUint64(nil, n))
}

// Cursor returns a cursor over the bucket.
func (b *Bucket) Cursor() *Cursor { return &Cursor{bolt: b.bolt.Cursor(), bucket: b} }

// Cursor goes through a bucket in the order of its keys. The values of nested buckets
// are nil.
type Cursor struct {
	bolt   *bolt.Cursor
	bucket *Bucket
}

// First goes to the first key.
func (c *Cursor) First() (k, v []byte) { return c.open(c.bolt.First()) }

// Last goes to the last key.
func (c *Cursor) Last() (k, v []byte) { return c.open(c.bolt.Last()) }

// Next goes to the next key; it is nil at the end.
func (c *Cursor) Next() (k, v []byte) { return c.open(c.bolt.Next()) }

// Prev goes to the key before; it is nil at the start.
func (c *Cursor) Prev() (k, v []byte) { return c.open(c.bolt.Prev()) }

// Seek goes to a key, or to the one after it.
func (c *Cursor) Seek(key []byte) (k, v []byte) { return c.open(c.bolt.Seek(key)) }

// Delete removes the key that the cursor is at.
func (c *Cursor) Delete() error { return c.bolt.Delete() }

// open ends the way at a damaged value.
func (c *Cursor) open(k, sealed []byte) (key, v []byte) {
	if k == nil || sealed == nil {
		return k, nil
	}
	if v = c.bucket.open(k, sealed); v == nil {
		return nil, nil
	}
	return k, v
}
