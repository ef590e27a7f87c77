package quota

import (
	"testing"
	"time"
)

func TestQuotaRemaining(t *testing.T) {
	g := openGateway(t, t.TempDir(), newClock(), hard(5))
	defer g.close()
	if s := g.Stats(); s != (Stats{}) {
		t.Errorf("before the first unit: %+v", s)
	}
	for want := int64(4); want >= 0; want-- {
		if unit, err := g.take(); err != nil || unit.Remaining != want {
			t.Errorf("%d remain, want %d, %v", unit.Remaining, want, err)
		}
	}
	if s := g.Stats(); s.Organizations != 1 || s.Unspent != 0 || s.Exhausted != 0 {
		t.Errorf("after the last unit: %+v", s)
	}
	if _, err := g.take(); err == nil {
		t.Error("a unit beyond the quota")
	}
	if s := g.Stats(); s != (Stats{Organizations: 1, Exhausted: 1}) {
		t.Errorf("after a refused call: %+v", s)
	}
	g.allowance.Hard = false
	if unit, err := g.take(); err != nil || unit.Remaining != -1 {
		t.Errorf("of a soft quota: %d, %v", unit.Remaining, err)
	}
}

// 402 is lifted by the next cycle, an upgrade or the cap's removal (contract 7.5).
func TestQuotaIsLifted(t *testing.T) {
	c := newClock()
	g := openGateway(t, t.TempDir(), c, hard(2))
	defer g.close()
	for i, lift := range []func(){
		func() {},
		func() { c.advance(6*24*time.Hour + 12*time.Hour) },
		func() { g.allowance.Quota = 4 },
		func() { g.allowance.Quota = 6 },
	} {
		lift()
		if wait := g.Restricted("acme", &g.allowance); wait != 0 {
			t.Errorf("%d: restricted for %s", i, wait)
		}
		if n := g.used(10); n != 2 {
			t.Errorf("%d: %d of 2", i, n)
		}
	}
	g.allowance.Hard = false
	if n := g.used(10); n != 10 || g.Restricted("acme", &g.allowance) != 0 {
		t.Errorf("without the cap %d of 10", n)
	}
	// With the cap again, what was used meanwhile counts.
	g.allowance = hard(18)
	if n := g.used(10); n != 2 {
		t.Errorf("with the cap again %d of 2", n)
	}
}

func TestQuotaGrace(t *testing.T) {
	c := newClock()
	g := openGateway(t, t.TempDir(), c, Allowance{Quota: 2, Hard: true, Grace: time.Minute})
	defer g.close()
	if n := g.used(10); n != 10 {
		t.Errorf("%d of 10 in grace", n)
	}
	if state, err := g.State("acme", &g.allowance); err != nil || !state.Grace || state.Refusing || state.Used != 10 {
		t.Errorf("%+v, %v", state, err)
	}
	c.advance(time.Minute)
	if n := g.used(10); n != 0 {
		t.Errorf("%d after grace", n)
	}
	// An upgrade counts what was used in grace.
	g.allowance = hard(12)
	if n := g.used(10); n != 2 {
		t.Errorf("%d of 2 after an upgrade", n)
	}
}

func TestQuotaSetByPeople(t *testing.T) {
	c := newClock()
	g := openGateway(t, t.TempDir(), c, hard(100000))
	defer g.close()
	if n := g.used(10); n != 10 {
		t.Fatal(n)
	}
	limit := int64(15)
	if err := g.SetOverride(t.Context(), "acme", &limit); err != nil {
		t.Fatal(err)
	}
	if n := g.used(10); n != 5 {
		t.Errorf("%d of 5", n)
	}
	if state, err := g.State("acme", &g.allowance); err != nil || !state.Overridden || state.Limit != 15 || !state.Refusing || state.Used != 15 {
		t.Errorf("%+v, %v", state, err)
	}
	if err := g.SetOverride(t.Context(), "acme", nil); err != nil {
		t.Fatal(err)
	}
	if n := g.used(10); n != 10 {
		t.Errorf("%d of 10 with the configured one again", n)
	}
}

// A unit that was used without a grant, and claimed meanwhile, is there again when it comes back.
func TestQuotaUngrantedUnitGoesBack(t *testing.T) {
	c := newClock()
	g := openGateway(t, t.TempDir(), c, hard(3))
	defer g.close()
	soft := Allowance{Quota: 3}
	unit, err := g.Take(t.Context(), "acme", &soft)
	if err != nil {
		t.Fatal(err)
	}
	if n := g.used(10); n != 2 {
		t.Errorf("%d of the 2 that are left", n)
	}
	unit.Return()
	if !becomesTrue(func() bool {
		c.advance(maxRetryDelay)
		return g.call() == nil
	}) {
		t.Error("the unit is gone")
	}
	if n := g.used(10); n != 0 {
		t.Errorf("%d beyond the quota", n)
	}
}
