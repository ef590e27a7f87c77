package billing

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// A database that the first process on a directory created, and that is gone once it was killed, is missed: at the moment
// after it was created too.
func TestDatabaseOfTheFirstProcessIsMissed(t *testing.T) {
	for name, create := range map[string]func(f *fixture) error{
		"billing.db": func(f *fixture) error {
			f.lines()
			return nil
		},
		"quotas.db": func(f *fixture) error {
			limit := int64(30)
			_, err := f.SetQuota(t.Context(), QuotaOrder{Organization: "acme", Limit: &limit})
			return err
		},
	} {
		at := &clock{began: time.Now()}
		dir := t.TempDir()
		f := reopen(t, dir, at, account("acme", granted, pays))
		if err := create(f); err != nil {
			t.Fatal(err)
		}
		killed := filepath.Join(t.TempDir(), "killed")
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(killed, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		found, err := metering.Verify(killed)
		if err != nil || len(found) != 1 || found[0].File != path || found[0].Lost == "" {
			t.Errorf("%s: verify: %+v, %v", name, found, err)
		}
		var damage *durable.DamageError
		again := NewEngine(killed)
		if err := again.Start(Settings{}); !errors.As(err, &damage) || damage.File != path {
			t.Errorf("%s: the start: %v", name, err)
		}
	}
}
