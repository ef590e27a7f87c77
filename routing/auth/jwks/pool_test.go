package jwks

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// One place is fetched from once, whoever uses it; another is another.
func TestPoolShares(t *testing.T) {
	p := NewPool(PoolConfig{})
	get := func(raw string) *Remote { return p.Get(must(NewURL(raw))) }
	one := get("https://example.com/keys?a=1")
	if get("https://example.com/keys?a=1") != one {
		t.Error("the same URL is fetched twice")
	}
	for _, other := range []string{
		"https://example.com/keys?a=2", "https://example.com/keys", "http://example.com/keys?a=1",
		"https://u:p@example.com/keys?a=1", "https://example.com:444/keys?a=1", "https://example.org/keys?a=1",
	} {
		if get(other) == one {
			t.Errorf("%s is taken for another", other)
		}
	}
	file := p.Get(NewFile("keys.json"))
	if p.Get(NewFile("./keys.json")) != file || p.Get(NewFile("other.json")) == file {
		t.Error("files are told apart wrongly")
	}
	if file.interval != DefaultFileInterval || one.interval != DefaultInterval {
		t.Errorf("intervals %s and %s", file.interval, one.interval)
	}
	if NewPool(PoolConfig{}).Get(must(NewURL("https://example.com/keys?a=1"))) == one {
		t.Error("two pools share")
	}
	runtime.KeepAlive(one)
	runtime.KeepAlive(file)
}

// What no configuration uses any more is gone, without being closed.
func TestPoolForgets(t *testing.T) {
	p := NewPool(PoolConfig{})
	kept := p.Get(&source{name: "kept"})
	for i := range 100 {
		p.Get(&source{name: fmt.Sprint(i)})
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(p.remotes.Values()) > 1 {
		if time.Now().After(deadline) {
			t.Fatalf("%d sets live on unused", len(p.remotes.Values()))
		}
		runtime.GC()
		runtime.Gosched()
	}
	if p.Get(&source{name: "kept"}) != kept {
		t.Error("what is in use was forgotten")
	}
}

// At start all sets are fetched, a few at a time; those that fail are told.
func TestPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(still())
		// The sources share one count, so that it says how many are asked at a time.
		all := &source{name: "all", body: set(ec("a")), delay: time.Second}
		var remotes []*Remote
		for i := range 20 {
			remotes = append(remotes, p.Get(&named{source: all, name: fmt.Sprint(i)}))
		}
		down := &source{name: "down", delay: time.Second}
		remotes = append(remotes, p.Get(down))
		begun := time.Now()
		p.Prefetch(t.Context())
		if took := time.Since(begun); all.count() != 20 || all.most > 8 || took != 3*time.Second {
			t.Errorf("%d fetches, %d at a time, in %s", all.count(), all.most, took)
		}
		status := p.Status()
		if status.Sets != 21 || status.Failing != 1 || status.OldestAge != 2*time.Second || len(status.Remotes) != 21 {
			t.Errorf("status %+v", status)
		}
		if last := status.Remotes[20]; last.Location != "down" || last.Error != errDown.Error() || !last.FetchedAt.IsZero() {
			t.Errorf("status of the one that is down: %+v", last)
		}
		p.Prefetch(t.Context())
		if all.count() != 20 || down.count() != 1 {
			t.Errorf("fetched again: %d, %d", all.count(), down.count())
		}
		runtime.KeepAlive(remotes)
	})
}

type named struct {
	*source
	name string
}

func (n *named) Location() string { return n.name }

// A file is read again within seconds of its change.
func TestFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write := func(body string) {
		next := path + ".new"
		if err := os.WriteFile(next, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Unix(1_800_000_000, 0)
	config := still()
	config.Now = func() time.Time { return now }
	r := NewPool(config).Get(NewFile(path))
	if err := r.Ready(t.Context()); err == nil {
		t.Fatal("Ready without a file")
	}
	write(set(ec("a")))
	now = now.Add(10 * time.Second)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(set(ec("b")))
	now = now.Add(10 * time.Second)
	if got := r.Current(t.Context()); len(got.Candidates(ES256, "b")) != 1 {
		t.Error("the old file serves")
	}
	write("half a fi")
	now = now.Add(10 * time.Second)
	if got := r.Current(t.Context()); len(got.Candidates(ES256, "b")) != 1 || r.Status().Error == "" {
		t.Error("a broken file replaced a good one")
	}
}
