package quota

import (
	"maps"
	"testing"
	"time"
)

// A limit that was set holds from the first call of a process on.
func TestOverridesOverRestarts(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	if err := NewEmbedded(dir, c.now).SetOverride(t.Context(), "acme", new(int64(20))); err != nil {
		t.Fatal(err)
	}
	g := openGateway(t, dir, c, hard(10))
	defer g.close()
	began := time.Now()
	if n := g.used(100); n != 20 {
		t.Errorf("%d of 20", n)
	}
	if took := time.Since(began); took >= claimWait {
		t.Errorf("calls waited until the limit was known: %v", took)
	}
}

// Whoever is asked next knows what is in force: another store, one that was emptied, and the own one of before.
func TestOverridesAreCopied(t *testing.T) {
	c := newClock()
	g := openGateway(t, t.TempDir(), c, hard(10))
	defer g.close()
	check := func(what string, a Authority, want map[string]int64) {
		t.Helper()
		if got, err := a.Overrides(t.Context()); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", what, got, err, want)
		}
	}
	if err := g.SetOverride(t.Context(), "acme", new(int64(20))); err != nil {
		t.Fatal(err)
	}
	first, second := *g.authority.Load(), Authority(NewEmbedded(t.TempDir(), c.now))
	g.SetAuthority(t.Context(), second)
	check("a store where none were set", second, map[string]int64{"acme": 20})

	if err := g.SetOverride(t.Context(), "acme", nil); err != nil {
		t.Fatal(err)
	}
	if err := g.SetOverride(t.Context(), "other", new(int64(5))); err != nil {
		t.Fatal(err)
	}
	g.SetAuthority(t.Context(), NewEmbedded(t.TempDir(), c.now))
	if err := g.CopyOverrides(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	g.SetAuthority(t.Context(), first)
	check("the first again", first, map[string]int64{"other": 5})
	if n := g.used(100); n != 10 {
		t.Errorf("%d of 10", n)
	}
	g.SetAuthority(t.Context(), second)
	check("one that knows better", second, map[string]int64{"other": 5})
}
