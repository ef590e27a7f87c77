package locate

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A database is replaced while lookups run, by another, by one that is broken,
// by nothing: what was good last answers until something better is there.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "country.mmdb")
		everywhere := func(code string) []byte {
			return encodeMMDB(map[string]fields{"0.0.0.0/0": {"country": fields{"iso_code": code}}})
		}
		writeFile(t, path, everywhere("KE"))
		l, err := New(Config{MMDB: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Open(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.Run(ctx)
		}()
		for _, step := range []struct {
			name    string
			change  func()
			country string
			wrong   string // in the status, empty for none
		}{
			{"as it was", func() {}, "KE", ""},
			{"another", func() { writeFile(t, path, everywhere("DE")) }, "DE", ""},
			{"a broken one", func() { writeFile(t, path, everywhere("FR")[:40]) }, "DE", path},
			{"it stays broken", func() {}, "DE", path},
			{"none", func() { _ = os.Remove(path) }, "DE", "no such file"},
			{"a good one again", func() { writeFile(t, path, everywhere("BR")) }, "BR", ""},
			{"overwritten in place by a shorter one", func() { _ = os.WriteFile(path, []byte("x"), 0o600) }, "BR", path},
			{"and by a good one", func() { _ = os.WriteFile(path, everywhere("JP"), 0o600) }, "JP", ""},
		} {
			step.change()
			time.Sleep(recheck + time.Millisecond)
			synctest.Wait()
			if got := l.Locate(headers(), false, netip.MustParseAddr("8.8.8.8")); got.Country != step.country {
				t.Errorf("%s: got %+v, want %s", step.name, got, step.country)
			}
			status := l.Status()[0]
			switch {
			case step.wrong == "" && status.Err != nil:
				t.Errorf("%s: %v", step.name, status.Err)
			case step.wrong != "" && (status.Err == nil || !strings.Contains(status.Err.Error(), step.wrong)):
				t.Errorf("%s: error %v, want %s", step.name, status.Err, step.wrong)
			}
			if status.Type != "Test" || status.Built.Unix() != 1700000000 {
				t.Errorf("%s: the one in use is %q of %v", step.name, status.Type, status.Built)
			}
		}
		cancel()
		<-ended
	})
}
