package usage

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// However many pages there are, both files have all of them after either was lost.
func TestCopyOfManyPages(t *testing.T) {
	dir := t.TempDir()
	open := func(name, told string) *storedPages {
		b := NewLineStore(filepath.Join(dir, name), "ledger")
		b.Told, b.noSync = filepath.Join(dir, told), true
		return &storedPages{store: b}
	}
	first := open("1.db", "1.told")
	for _, service := range []string{"a", "b"} {
		pages := make(map[PageKey][]byte)
		for i := range 2*pagesChunk + 1 {
			pages[PageKey{Account: fmt.Sprint(i), Period: "p", Span: "s"}] = []byte(`{"sent":{"x":{"r":1,"v":1}}}`)
		}
		if _, err := first.Save(t.Context(), service, pages); err != nil {
			t.Fatal(err)
		}
	}
	for _, of := range []struct{ store, told string }{{"2.db", "1.told"}, {"1.db", "2.told"}, {"3.db", "2.told"}} {
		s := open(of.store, of.told)
		n, due := 0, 0
		for _, service := range []string{"a", "b"} {
			opened := s.store.with(false, func(*bbolt.Tx) error { return nil })
			waiting, err := s.store.due(service)
			due += len(waiting)
			err = errors.Join(opened, err, s.Each(t.Context(), service, func(PageKey, []byte) error { n++; return nil }))
			if err != nil {
				t.Fatal(err)
			}
		}
		if want := 2 * (2*pagesChunk + 1); n != want || of.store != "1.db" && due != want {
			t.Errorf("%+v: %d pages, %d due, want %d", of, n, due, want)
		}
	}
}
