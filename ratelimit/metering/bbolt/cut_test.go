package bbolt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Wherever a file is cut while it is open, and whoever uses it: each transaction ends, at the latest those after a fault with
// an error that names the file; it can be closed, and opened again once it is whole again.
func TestCutWhileOpen(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	fill(t, whole, 30)
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	want, err := content(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	sizes := []int64{0, 1, 4096, 8192, 12288}
	for range 20 {
		sizes = append(sizes, random.Int64N(int64(len(text))))
	}
	failed := 0
	for n, size := range sizes {
		path := filepath.Join(dir, fmt.Sprintf("%d.db", n))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		db := open(t, path)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		errs := make(chan error, 1000)
		for i := range 4 {
			all.Go(func() {
				for k := range 10 {
					if i%2 == 0 {
						errs <- db.View(func(tx *Tx) error {
							return tx.Bucket([]byte("news")).ForEach(func(_, _ []byte) error { return nil })
						})
						continue
					}
					errs <- db.Update(func(tx *Tx) error {
						return tx.Bucket([]byte("small")).Put(fmt.Appendf(nil, "k%d", k), make([]byte, 5000))
					})
				}
			})
		}
		all.Go(func() {
			found, err := db.Verify()
			if err != nil || len(found) > 0 && strings.Contains(found[0].What, "nil pointer") {
				t.Errorf("cut at %d: %+v, %v", size, found, err)
			}
		})
		ended := make(chan error)
		go func() {
			all.Wait()
			ended <- db.Close()
		}()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("cut at %d: closing: %v", size, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("cut at %d: a transaction, or Close, does not end", size)
		}
		close(errs)
		for err := range errs {
			if err == nil {
				continue
			}
			failed++
			if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "nil pointer") {
				t.Errorf("cut at %d: %v", size, err)
			}
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if has, err := content(t, path); err != nil || len(has) != len(want) {
			t.Errorf("cut at %d, and whole again: %d values instead of %d, %v", size, len(has), len(want), err)
		}
	}
	if failed < 100 {
		t.Errorf("only %d transactions failed", failed)
	}
}
