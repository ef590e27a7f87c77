package bbolt

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// sealAll adds checksums to all values of a file from before there were any, or of a
// new one. Another process may have done it since the file was looked at: that waits for
// no lock.
func sealAll(tx *bolt.Tx) error {
	if tx.Bucket(bucketSeals) != nil {
		return nil
	}
	seals, err := tx.CreateBucket(bucketSeals)
	if err != nil {
		return err
	}
	t := &Tx{tx: tx}
	if err := t.wrap(seals, nil, bucketSeals).Put(keyVersion, version); err != nil {
		return err
	}
	var names [][]byte
	err = tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		if !bytes.Equal(name, bucketSeals) {
			names = append(names, bytes.Clone(name))
		}
		return nil
	})
	for _, name := range names {
		if err == nil {
			err = t.Bucket(name).sealValues()
		}
	}
	return err
}

// sealValues adds checksums to all values in a bucket and those in it.
func (b *Bucket) sealValues() error {
	var keys, values, nested [][]byte
	err := b.bolt.ForEach(func(k, v []byte) error {
		if v == nil {
			nested = append(nested, bytes.Clone(k))
			return nil
		}
		keys, values = append(keys, bytes.Clone(k)), append(values, bytes.Clone(v))
		return nil
	})
	if err != nil {
		return err
	}
	for i := range keys {
		if err := b.Put(keys[i], values[i]); err != nil {
			return err
		}
	}
	if n := b.bolt.Sequence(); n > 0 {
		if err := b.tx.keepSequence(b.path, n); err != nil {
			return err
		}
	}
	for _, name := range nested {
		if err := b.Bucket(name).sealValues(); err != nil {
			return err
		}
	}
	return nil
}
