package bbolt

import (
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Several open a new file at the same time: its values get their checksums once.
func TestOpenedTogether(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "new.db")
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() {
				db, err := Open(path, 0o600, &Options{Timeout: 10 * time.Second, NoSync: true})
				if err != nil {
					t.Error(err)
					return
				}
				err = db.Update(func(tx *Tx) error {
					b, err := tx.CreateBucketIfNotExists([]byte("b"))
					if err != nil {
						return err
					}
					if v := b.Get([]byte("k")); v != nil && string(v) != "value" {
						t.Errorf("%q", v)
					}
					return b.Put([]byte("k"), []byte("value"))
				})
				if err != nil {
					t.Error(err)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
	}
}
