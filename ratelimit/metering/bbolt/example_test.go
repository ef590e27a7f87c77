package bbolt_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

func Example() {
	dir, err := os.MkdirTemp("", "bbolt-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := bbolt.Open(filepath.Join(dir, "sums.db"), 0o600, nil)
	if err != nil {
		panic(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		sums, err := tx.CreateBucketIfNotExists([]byte("sums"))
		if err != nil {
			return err
		}
		return sums.Put([]byte("acme"), []byte("12"))
	})
	if err != nil {
		panic(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		fmt.Printf("%s\n", tx.Bucket([]byte("sums")).Get([]byte("acme")))
		return nil
	})
	fmt.Println(err)
	// Output:
	// 12
	// <nil>
}
