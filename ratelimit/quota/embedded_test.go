package quota

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// A file that cannot be opened is an authority that is away; without one nothing is set and nothing is held.
func TestEmbeddedFile(t *testing.T) {
	dir := t.TempDir()
	e := NewEmbedded(dir, time.Now)
	limits, err := e.Overrides(t.Context())
	held, errHeld := e.HeldBy(t.Context(), "h")
	if limits != nil || held != nil || err != nil || errHeld != nil {
		t.Errorf("without a file: %v, %v, %v, %v", limits, err, held, errHeld)
	}
	if err := os.Mkdir(filepath.Join(dir, "quotas.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"claim":     func() error { _, err := e.Claim(t.Context(), Claim{}); return err },
		"held by":   func() error { _, err := e.HeldBy(t.Context(), "h"); return err },
		"set":       func() error { return e.SetOverride(t.Context(), "acme", Override{}) },
		"overrides": func() error { _, err := e.Overrides(t.Context()); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "quotas.db") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An error of a damaged file names it once, and so does one of a lease in it.
func TestEmbeddedNamesItsFileOnce(t *testing.T) {
	dir := t.TempDir()
	e := NewEmbedded(dir, time.Now)
	c := Claim{Holder: "h", Organization: "acme", Period: november, Limit: 10, Number: 1, Wants: 3}
	path := filepath.Join(dir, "quotas.db")
	check := func(when string) {
		t.Helper()
		if _, err := e.Claim(t.Context(), c); err == nil || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%s: %v", when, err)
		}
	}
	if _, err := e.Claim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := []byte(november.ID + "|acme")
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketLeases).Put(key, []byte("{")) })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	check("a lease that cannot be read")
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	check("no database")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("none")
	e = NewEmbedded(filepath.Join(dir, "none"), time.Now)
	path = e.path
	check("no directory")
}

// A lease that cannot be read is named in the error, and is not written over.
func TestEmbeddedBrokenLease(t *testing.T) {
	dir := t.TempDir()
	e := NewEmbedded(dir, time.Now)
	c := Claim{
		Holder:       "h",
		Organization: "acme",
		Period:       november,
		Limit:        10,
		Number:       1,
		Wants:        3,
	}
	if a, err := e.Claim(t.Context(), c); err != nil || a.Granted != 3 {
		t.Fatalf("%+v, %v", a, err)
	}
	if held, err := e.HeldBy(t.Context(), "h"); err != nil || len(held) != 1 || held[0].Holds != 3 || held[0].Period.ID != november.ID {
		t.Errorf("%+v, %v", held, err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "quotas.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := []byte(november.ID + "|acme")
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketLeases).Put(key, []byte("{")) })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := e.Claim(t.Context(), c); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), string(key)) {
			t.Errorf("a claim on it: %v", err)
		}
	}
	if _, err := e.HeldBy(t.Context(), "h"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), string(key)) {
		t.Errorf("held in it: %v", err)
	}
}
