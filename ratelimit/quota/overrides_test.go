package quota

import (
	"errors"
	"maps"
	"testing"
	"time"
)

// An override holds from the first call of a process on.
func TestOverridesOverRestarts(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	if err := NewEmbedded(dir, c.now).SetOverride(t.Context(), "acme", Override{Limit: 20, Version: 1}); err != nil {
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

// The next authority gets the overrides in force: another one, one that was emptied, and an earlier one with older overrides.
func TestOverridesAreCopied(t *testing.T) {
	c := newClock()
	g := openGateway(t, t.TempDir(), c, hard(10))
	defer g.close()
	check := func(what string, a Authority, want map[string]int64) {
		t.Helper()
		found, err := a.Overrides(t.Context())
		got := make(map[string]int64)
		for organization, o := range found {
			if !o.Removed {
				got[organization] = o.Limit
			}
		}
		if err != nil || !maps.Equal(got, want) {
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

// An override that Redis lost in one of its two places is in force again after a claim.
func TestOverrideIsRepaired(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g := openShared(t, s, t.TempDir(), c)
	defer g.close()
	g.served(1)
	if err := g.SetOverride(t.Context(), "acme", new(int64(500))); err != nil {
		t.Fatal(err)
	}
	key := grantsKey((*g.authority.Load()).(*Redis).Shard("acme"))
	s.change(func() { delete(s.hashes[key], "l|acme") })
	g.served(100) // more than it was granted at first
	if !becomesTrue(func() bool {
		repaired := false
		s.change(func() { repaired = s.hashes[key]["l|acme"] == "500" })
		return repaired
	}) {
		t.Error("the field that claims read is gone")
	}
	if n := g.used(1000); n != 500-101 {
		t.Errorf("%d more, want %d", n, 500-101)
	}
	// Removed from the list alone, it ends.
	s.change(func() { delete(s.hashes[overridesKey], "acme") })
	g.refreshOverrides(t.Context())
	g.served(300)
	if state, err := g.State("acme", &g.allowance); err != nil || state.Overridden || state.Limit != 1000 {
		t.Errorf("%+v, %v", state, err)
	}
}

// The error of a store that cannot be written is told, and what was in force stays.
func TestOverridesOfAStoreThatIsAway(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g := openShared(t, s, t.TempDir(), c)
	defer g.close()
	if err := g.SetOverride(t.Context(), "acme", new(int64(5))); err != nil {
		t.Fatal(err)
	}
	away := redisAt(t, s.URL(), false)
	for _, names := range []string{"HLEN", "EVALSHA", "HDEL"} {
		s.change(func() {
			s.hashes[overridesKey]["stale"+names] = "7"
			s.fails = func(command []string) any {
				if command[0] == names {
					return errors.New("ERR on purpose")
				}
				return nil
			}
		})
		if err := g.CopyOverrides(t.Context(), away); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s fails: %v", names, err)
		}
		if err := g.SetOverride(t.Context(), "acme", new(int64(6))); names == "EVALSHA" && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s fails: %v", names, err)
		}
	}
	s.change(func() { s.fails = nil })
	g.refreshOverrides(t.Context())
	if g.effectiveLimit("acme", &g.allowance) > 6 {
		t.Errorf("%d is in force", g.effectiveLimit("acme", &g.allowance))
	}
}
