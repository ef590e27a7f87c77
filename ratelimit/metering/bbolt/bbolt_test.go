package bbolt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path, 0o600, &Options{Timeout: time.Second, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fill writes to a file as the ledger does: buckets of all sizes, nested ones, sequences, deletions, long values.
func fill(t *testing.T, path string, transactions int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for n := range transactions {
		db := open(t, path)
		err := db.Update(func(tx *Tx) error {
			for _, name := range []string{"lines", "news", "small"} {
				if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
					return err
				}
			}
			group, err := tx.Bucket([]byte("lines")).CreateBucketIfNotExists(fmt.Appendf(nil, "2026-%02d\x00acme", n%3))
			if err != nil {
				return err
			}
			for range 40 {
				key := fmt.Appendf(nil, "%08d", random.IntN(3000))
				if random.IntN(4) == 0 {
					err = group.Delete(key)
				} else {
					err = group.Put(key, bytes.Repeat([]byte("v"), random.IntN(150)))
				}
				if err != nil {
					return err
				}
				number, err := tx.Bucket([]byte("news")).NextSequence()
				if err != nil {
					return err
				}
				if err := tx.Bucket([]byte("news")).Put(fmt.Appendf(nil, "%016x", number), key); err != nil {
					return err
				}
			}
			return tx.Bucket([]byte("small")).Put(fmt.Appendf(nil, "k%d", n%5), bytes.Repeat([]byte{byte(n)}, n%3*5000))
		})
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// content returns all that is in a file, read through the wrapper.
func content(t *testing.T, path string) (all map[string]string, err error) {
	t.Helper()
	db, err := Open(path, 0o600, &Options{Timeout: time.Second, NoSync: true})
	if err != nil {
		return nil, err
	}
	all = make(map[string]string)
	var read func(prefix string, b *Bucket) error
	read = func(prefix string, b *Bucket) error {
		all[prefix] = fmt.Sprint(b.bolt.Sequence())
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return read(prefix+"/"+hex.EncodeToString(k), b.Bucket(k))
			}
			all[prefix+"/"+hex.EncodeToString(k)] = string(v)
			return nil
		})
	}
	err = db.View(func(tx *Tx) error {
		return tx.tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
			if bytes.Equal(name, bucketSeals) {
				return nil
			}
			return read(string(name), tx.Bucket(name))
		})
	})
	return all, errors.Join(err, db.Close())
}

// Whatever byte of a file changes and wherever it ends: what is in it is the same, or it is an error that names the file.
// Nobody panics. What is whole can be salvaged, and what is not is never another value.
func TestDamageIsNeverAnotherValue(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole.db")
	fill(t, path, 30)
	want, err := content(t, path)
	if err != nil || len(want) < 300 {
		t.Fatalf("%d values, %v", len(want), err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	told, salvaged := 0, 0
	for n := range 400 {
		damaged := bytes.Clone(whole)
		at := random.IntN(len(whole))
		if n%2 == 0 { // heads of pages, and what comes first in them
			at = min(len(whole)-1, at/4096*4096+random.IntN(100))
		}
		var what string
		if n%20 == 19 {
			damaged, what = damaged[:at], fmt.Sprintf("cut at %d", at)
		} else {
			bit := byte(1) << random.IntN(8)
			damaged[at] ^= bit
			what = fmt.Sprintf("byte %d, page %d+%d: %02x to %02x", at, at/4096, at%4096, whole[at], damaged[at])
		}
		broken := filepath.Join(dir, fmt.Sprintf("broken-%d.db", n))
		if err := os.WriteFile(broken, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := content(t, broken)
		var damage *durable.DamageError
		switch {
		case err == nil && len(damaged) == 0:
		case err == nil && !reflect.DeepEqual(got, want):
			t.Fatalf("%s: other values, and no error", what)
		case err != nil && (!errors.As(err, &damage) || damage.File != broken):
			t.Fatalf("%s: %v", what, err)
		case err != nil && n%10 == 0:
			told++
			into := filepath.Join(dir, "salvaged.db")
			found, err := Salvage(broken, into, time.Second)
			if err != nil {
				break // nothing is whole
			}
			got, err := content(t, into)
			if err != nil {
				t.Fatalf("%s: what was salvaged: %v", what, err)
			}
			for k, v := range got {
				if want[k] != v && found.Findings[0].What != errMeta.Error() { // the state before the last transaction
					t.Fatalf("%s: salvaged %q for %s, want %q", what, v, k, want[k])
				}
			}
			salvaged += len(got)
			if err := os.Remove(into); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(broken); err != nil {
			t.Fatal(err)
		}
	}
	if told == 0 || salvaged < told*len(want)/2 {
		t.Errorf("%d errors, %d values salvaged, of %d each", told, salvaged, len(want))
	}
}

// A file from before there were checksums is read, and has them from then on.
func TestFilesOfBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		lines, err := tx.CreateBucket([]byte("lines"))
		if err != nil {
			return err
		}
		group, err := lines.CreateBucket([]byte("2026-11"))
		if err != nil {
			return err
		}
		if _, err := lines.NextSequence(); err != nil {
			return err
		}
		return errors.Join(lines.Put([]byte("a"), []byte("1")), group.Put([]byte("b"), nil))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"lines": "1", "lines/61": "1", "lines/" + hex.EncodeToString([]byte("2026-11")): "0", "lines/" + hex.EncodeToString([]byte("2026-11")) + "/62": ""}
	for range 2 {
		got, err := content(t, path)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	if findings, err := Verify(path, time.Second); err != nil || len(findings) > 0 {
		t.Errorf("%v, %v", findings, err)
	}
}

// A value without a checksum in a file that has them is an error, wherever it is read, and takes back the transaction.
func TestUnsealedValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	db := open(t, path)
	defer db.Close()
	err := db.Update(func(tx *Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		return errors.Join(b.Put([]byte("good"), []byte("1")), b.bolt.Put([]byte("bad"), []byte("unsealed")))
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(b *Bucket) error{
		"get": func(b *Bucket) error { _ = b.Get([]byte("bad")); return b.Put([]byte("good"), []byte("2")) },
		"each": func(b *Bucket) error {
			return b.ForEach(func(_, _ []byte) error { return nil })
		},
		"cursor": func(b *Bucket) error {
			c := b.Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				if string(k) == "bad" {
					return errors.New("a damaged value was read")
				}
			}
			return nil
		},
		"panic": func(*Bucket) error { panic("bbolt gives up") },
	} {
		err := db.Update(func(tx *Tx) error { return read(tx.Bucket([]byte("b"))) })
		if !errors.As(err, new(*durable.DamageError)) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	findings, err := db.Verify()
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0].What, "bad") {
		t.Errorf("%v, %v", findings, err)
	}
	err = db.View(func(tx *Tx) error {
		c := tx.Bucket([]byte("b")).Cursor()
		if k, v := c.Last(); string(k) != "good" || string(v) != "1" {
			t.Errorf("%q is %q", k, v)
		}
		if k, v := c.Seek([]byte("g")); string(k) != "good" || string(v) != "1" {
			t.Errorf("%q is %q", k, v)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A file that another process has open is waited for, and no longer than that.
func TestOpenWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	db := open(t, path)
	if _, err := Open(path, 0o600, &Options{Timeout: 20 * time.Millisecond}); err == nil || errors.As(err, new(*durable.DamageError)) {
		t.Errorf("an open file: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Error(err)
	}
	if _, err := Salvage(filepath.Join(t.TempDir(), "none"), path, time.Second); err == nil {
		t.Error("nothing was salvaged")
	}
	if findings, err := Verify(filepath.Join(t.TempDir(), "none"), time.Second); err != nil || findings != nil {
		t.Errorf("%v, %v", findings, err)
	}
}

func TestDeletedBuckets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	fill(t, path, 3)
	db := open(t, path)
	err := db.Update(func(tx *Tx) error {
		lines := tx.Bucket([]byte("lines"))
		var names [][]byte
		if err := lines.ForEachBucket(func(k []byte) error { names = append(names, bytes.Clone(k)); return nil }); err != nil {
			return err
		}
		c := tx.Bucket([]byte("small")).Cursor()
		c.First()
		if k, _ := c.Prev(); k != nil {
			t.Errorf("before the first comes %q", k)
		}
		c.First()
		return errors.Join(lines.DeleteBucket(names[0]), tx.DeleteBucket([]byte("news")), c.Delete())
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if findings, err := Verify(path, time.Second); err != nil || len(findings) > 0 {
		t.Errorf("%v, %v", findings, err)
	}
}

// The sequence in the head of a bucket has no checksum. One that is damaged is not salvaged as another one, of a bucket that
// has none neither.
func TestDamagedSequences(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole.db")
	fill(t, path, 9)
	want, err := content(t, path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := 0
	for _, name := range []string{"lines", "news", "2026-01\x00acme"} {
		for at, rest := 0, whole; ; { // also in pages that are free now, where nothing is damaged
			next := bytes.Index(rest, []byte(name))
			if next < 0 {
				break
			}
			at, rest = at+next+len(name), rest[next+len(name):]
			damaged := bytes.Clone(whole)
			damaged[at+8+5] ^= 2 // after the root
			from, into := filepath.Join(dir, "damaged.db"), filepath.Join(dir, "salvaged.db")
			if err := os.WriteFile(from, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := Salvage(from, into, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := content(t, into); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q at byte %d: %v, other values or sequences were salvaged", name, at, err)
			}
			damages += len(found.Findings)
			if err := errors.Join(os.Remove(from), os.Remove(into)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if damages < 3 {
		t.Errorf("%d findings: the heads of the buckets were not damaged", damages)
	}
}
