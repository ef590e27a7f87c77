package metering

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// The id outlives the loss of either of its files, and any change of either.
func TestIdentityIsRestored(t *testing.T) {
	dir := t.TempDir()
	id, err := Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(id)
	flipped[3] ^= 1 // still a digit: only the copy tells
	for _, name := range []string{identityName, identityCopyName} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := [][]byte{nil, {}, flipped, []byte("x"), whole[:7], append([]byte{whole[0] ^ 0x80}, whole[1:]...)}
		for _, content := range damaged {
			err := os.Remove(path)
			if content != nil {
				err = os.WriteFile(path, content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			noticed := content != nil || name == identityName // without a copy it is a directory of before
			if f := inspectIdentity(dir, false); noticed != (len(f) == 1 && f[0].File == path && f[0].What != "" && f[0].Remedy != "") {
				t.Errorf("%s was %q: found %+v", name, content, f)
			}
			if f := inspectIdentity(dir, true); noticed != (len(f) == 1 && f[0].Mended) || inspectIdentity(dir, false) != nil {
				t.Errorf("%s was %q: mended %+v", name, content, f)
			}
			if got, err := Identity(dir); got != id || err != nil {
				t.Errorf("%s was %q: %q, %v", name, content, got, err)
			}
			if got, err := os.ReadFile(path); string(got) != string(whole) || err != nil {
				t.Errorf("%s is %q, %v, want %q", name, got, err, whole)
			}
		}
	}
}

// An id that nobody can tell is an error: a new one would send all lines of bills again.
func TestIdentityIsNotInvented(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"both are damaged": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, identityName), []byte("x"), 0o600), os.WriteFile(filepath.Join(dir, identityCopyName), []byte("x"), 0o600))
		},
		"both are gone": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, identityName)), os.Remove(filepath.Join(dir, identityCopyName)))
		},
	} {
		dir := t.TempDir()
		if _, err := Identity(dir); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lose(dir), os.WriteFile(filepath.Join(dir, "billing.db"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		id, err := Identity(dir)
		if !errors.As(err, new(*durable.DamageError)) || !strings.Contains(err.Error(), identityName) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
		if f := inspectIdentity(dir, true); len(f) != 1 || f[0].Mended || !strings.Contains(f[0].Remedy, "HGET gw:meta ledger") {
			t.Errorf("%s: found %+v", name, f)
		}
	}
}

// An id from before there was a copy gets one.
func TestIdentityOfBefore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, identityName), []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := Identity(dir); id != "0123456789abcdef" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	if err := os.Remove(filepath.Join(dir, identityName)); err != nil {
		t.Fatal(err)
	}
	if id, err := Identity(dir); id != "0123456789abcdef" || err != nil {
		t.Errorf("from the copy: %q, %v", id, err)
	}
}
