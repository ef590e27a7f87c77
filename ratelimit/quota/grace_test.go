package quota

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// graceWorld is a lease that holders claim of, and the clock of its authority.
type graceWorld struct {
	lease  lease
	limit  int64
	now    instant
	number uint64
}

// claim settles a claim of a holder that has so many units and wants so many.
func (w *graceWorld) claim(name string, holds, wants int64) Answer {
	w.number++
	return w.lease.settle(Claim{
		Holder:  name,
		Number:  w.number,
		Holds:   holds,
		Wants:   wants,
		Starved: wants > holds,
	}, w.limit, w.now)
}

func (w *graceWorld) pass(d time.Duration) {
	w.now.micro += d.Microseconds()
	w.now.up += d.Microseconds()
}

func (w *graceWorld) set(d time.Duration) { w.now.micro += d.Microseconds() }

// takeStock settles a claim that knows no limit, as a gateway that starts and a release make them.
func (w *graceWorld) takeStock(name string, holds int64) {
	limit := w.limit
	w.limit = noLimit
	w.claim(name, holds, 0)
	w.limit = limit
}

// A period has one grace for each limit. Nothing but a higher limit, of which something was left, begins another.
func TestGraceBeginsOnceForEachLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		happens func(w *graceWorld) // ten seconds after the grace began
		again   bool                // another one begins
		age     time.Duration       // of the same one, in the end
	}{
		"nothing":            {happens: func(*graceWorld) {}, age: 10 * time.Second},
		"a restart":          {happens: func(w *graceWorld) { w.takeStock("a", 6) }, age: 10 * time.Second},
		"a release":          {happens: func(w *graceWorld) { w.takeStock("b", 1) }, age: 10 * time.Second},
		"an orphan":          {happens: func(w *graceWorld) { w.claim("b", 1, 0) }, age: 10 * time.Second},
		"units go back":      {happens: func(w *graceWorld) { w.claim("b", 1, 0); w.claim("a", 6, 7) }, age: 10 * time.Second},
		"a lower limit":      {happens: func(w *graceWorld) { w.limit = 5 }, age: 10 * time.Second},
		"lower and back":     {happens: func(w *graceWorld) { w.limit = 5; w.claim("a", 6, 7); w.limit = 10 }, age: 10 * time.Second},
		"more is used":       {happens: func(w *graceWorld) { w.claim("a", 26, 27) }, age: 10 * time.Second},
		"raised, all used":   {happens: func(w *graceWorld) { w.claim("a", 26, 27); w.limit = 20 }, age: 10 * time.Second},
		"raised":             {happens: func(w *graceWorld) { w.limit = 20 }, again: true},
		"raised by one":      {happens: func(w *graceWorld) { w.limit = 11 }, again: true},
		"raised after use":   {happens: func(w *graceWorld) { w.claim("a", 26, 27); w.limit = 40 }, again: true},
		"clock set back":     {happens: func(w *graceWorld) { w.set(-time.Hour); w.pass(time.Second) }, age: 11 * time.Second},
		"clock set forward":  {happens: func(w *graceWorld) { w.set(time.Hour); w.pass(time.Second) }, age: 11 * time.Second},
		"another run":        {happens: func(w *graceWorld) { w.now.boot, w.now.up = "second", 1; w.pass(time.Second) }, age: 11 * time.Second},
		"another run, back":  {happens: func(w *graceWorld) { w.now.boot, w.now.up = "second", 1; w.set(-time.Hour) }, age: graceOver},
		"no run, clock back": {happens: func(w *graceWorld) { w.now.boot, w.now.up = "", 0; w.claim("a", 6, 0); w.set(-time.Hour) }, age: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := &graceWorld{
				lease: lease{Holders: make(map[string]holder)},
				limit: 10,
				now:   instant{micro: time.Hour.Microseconds(), boot: "first", up: 7},
			}
			exhaust := func() (a Answer) {
				for a = w.claim("a", 6, 6); !a.Exhausted; {
					a = w.claim("a", a.Granted, a.Granted+1)
				}
				return a
			}
			w.claim("b", 4, 4)
			began := exhaust().Grace
			if began.ID == "" || began.Age != 0 || began.Limit != 10 {
				t.Fatalf("%+v", began)
			}
			w.pass(10 * time.Second)
			tt.happens(w)
			held := w.lease.Holders["a"].Granted
			var got Answer
			for got = w.claim("a", held, held+1); !got.Exhausted; {
				got = w.claim("a", got.Granted, got.Granted+1)
			}
			switch same := got.Grace.ID == began.ID; {
			case same == tt.again:
				t.Errorf("%+v after %+v", got.Grace, began)
			case same && got.Grace.Age != tt.age, !same && got.Grace.Age != 0:
				t.Errorf("its age is %s", got.Grace.Age)
			}
		})
	}
}

// An authority takes over what a holder knows of a grace, but not the little by which two clocks may differ.
func TestGraceIsKeptByItsHolders(t *testing.T) {
	known := func(id string, limit int64, age time.Duration) Grace { return Grace{ID: id, Limit: limit, Age: age} }
	for name, tt := range map[string]struct{ kept, known, want Grace }{
		"lost":             {known: known("7", 10, time.Minute), want: known("7", 10, time.Minute)},
		"unknown":          {kept: known("3", 10, time.Second), want: known("3", 10, time.Second)},
		"clock set back":   {kept: known("3", 10, 0), known: known("3", 10, time.Minute), want: known("3", 10, time.Minute)},
		"a call's time":    {kept: known("3", 10, 0), known: known("3", 10, time.Second), want: known("3", 10, 0)},
		"younger":          {kept: known("3", 10, time.Hour), known: known("3", 10, time.Minute), want: known("3", 10, time.Hour)},
		"of a lower limit": {kept: known("3", 10, 0), known: known("7", 9, time.Minute), want: known("3", 10, 0)},
		"of a higher one":  {kept: known("3", 10, time.Hour), known: known("7", 11, 0), want: known("7", 11, 0)},
		"another, older":   {kept: known("3", 10, 0), known: known("7", 10, time.Minute), want: known("7", 10, time.Minute)},
	} {
		l := lease{Holders: make(map[string]holder)}
		at := instant{micro: 5}
		if tt.kept.ID != "" {
			l.setGrace(tt.kept, at)
		}
		if got := l.settle(Claim{Holder: "a", Number: 1, Grace: tt.known}, 10, at).Grace; got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
	// An instant that a former build kept is its beginning.
	old := lease{Holders: make(map[string]holder), ExhaustedAt: 1_000_000}
	if got := old.settle(Claim{Holder: "a", Number: 1}, 10, instant{micro: 4_000_000}).Grace; got != known("1000000", 10, 3*time.Second) {
		t.Errorf("of a former build: %+v", got)
	}
}

// A holder hears of a grace once: later answers, of a clock that was set, change neither its beginning nor its end.
func TestGraceIsHeardOnce(t *testing.T) {
	var k knownGrace
	k.hear(Grace{}, time.Second)
	k.hear(Grace{ID: "1", Limit: 10, Age: time.Minute}, time.Second)
	for _, g := range []Grace{
		{},
		{ID: "1", Limit: 10, Age: time.Hour},
		{ID: "1", Limit: 10},
		{ID: "2", Limit: 10, Age: time.Second},
		{ID: "2", Limit: 9, Age: time.Hour},
	} {
		k.hear(g, 11*time.Second)
		if got := k.from(11 * time.Second); got != (Grace{ID: "1", Limit: 10, Age: 70 * time.Second}) {
			t.Errorf("after %+v: %+v", g, got)
		}
	}
	for _, g := range []Grace{
		{ID: "3", Limit: 10, Age: 71 * time.Second}, // another gateway knew of it earlier
		{ID: "4", Limit: 11},
	} {
		if k.hear(g, 11*time.Second); k.from(11*time.Second) != g {
			t.Errorf("not heard: %+v", g)
		}
	}
}

// wrongClock is the time of day of a machine that is ahead of the others by some time.
type wrongClock struct {
	clock *clock
	ahead atomic.Int64 // nanoseconds
}

func newWrongClock(c *clock, ahead time.Duration) *wrongClock {
	w := &wrongClock{clock: c}
	w.ahead.Store(int64(ahead))
	return w
}

func (w *wrongClock) now() time.Time { return w.clock.now().Add(time.Duration(w.ahead.Load())) }

func (w *wrongClock) elapsed() time.Duration {
	return time.Duration(w.clock.micro.Load()) * time.Microsecond
}

// openAt opens a gateway whose machine has a clock of its own.
func openAt(t *testing.T, dir string, w *wrongClock, authority Authority, allowance Allowance) *gateway {
	t.Helper()
	ledger, err := metering.Open(metering.Config{Dir: dir, Now: w.now, Elapsed: w.elapsed})
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{
		Manager:   NewManager(ledger, authority),
		t:         t,
		ledger:    ledger,
		allowance: allowance,
	}
}

// Three gateways and their authority have clocks that differ by up to 20 minutes and are set while they run, and the
// gateways restart again and again: a hard quota is not passed by one call, and a grace lasts as long as it should by a
// clock on the wall.
func TestNoClockOpensAQuota(t *testing.T) {
	const quota, redis, embedded = 300, "redis", "embedded"
	for name, tt := range map[string]struct {
		authority string
		grace     time.Duration
		steps     []int // minutes, of the authority's clock, every four seconds
		shorter   bool  // a grace may end early: the authority's clock is set forward
	}{
		"no grace":               {authority: redis, steps: []int{-16, 9, 10, -3}},
		"grace":                  {authority: redis, grace: 20 * time.Second, steps: []int{0}},
		"grace, set back":        {authority: redis, grace: 20 * time.Second, steps: []int{-3}},
		"grace, set":             {authority: redis, grace: 20 * time.Second, steps: []int{-16, 9, 10, -3}, shorter: true},
		"embedded, no grace":     {authority: embedded, steps: []int{-16, 9, 10, -3}},
		"embedded, grace, set":   {authority: embedded, grace: 20 * time.Second, steps: []int{-16, 9, 10, -3}},
		"embedded, a long grace": {authority: embedded, grace: 40 * time.Second, steps: []int{-16, 9, 10, -3}},
	} {
		t.Run(name, func(t *testing.T) {
			wall := newClock()
			authorityTime, ahead := &clock{}, 7*time.Minute
			follow := func() { authorityTime.micro.Store(wall.now().Add(ahead).UnixMicro()) }
			follow()
			s, file := startShards(t, authorityTime), t.TempDir()
			dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
			clocks := []*wrongClock{newWrongClock(wall, -10*time.Minute), newWrongClock(wall, 0), newWrongClock(wall, 10*time.Minute)}
			open := func(i int) *gateway {
				var authority Authority
				if tt.authority == redis {
					authority = redisAt(t, s.URL(), false)
				} else {
					e := NewEmbedded(file, authorityTime.now)
					e.boot = func() (string, time.Duration) { return "first", clocks[0].elapsed() }
					authority = e
				}
				return openAt(t, dirs[i], clocks[i], authority, Allowance{Quota: quota, Hard: true, Grace: tt.grace})
			}
			gateways := []*gateway{open(0), open(1), open(2)}
			passed, restarts := 0, 0
			var began, ended time.Time // of the grace
			for round, over := 0, 0; over < 60; round++ {
				for i, g := range gateways {
					for range 4 {
						unit, err := g.take()
						switch {
						case err == nil && unit.ungranted:
							ended = wall.now()
							if began.IsZero() {
								began = ended
							}
							fallthrough
						case err == nil:
							passed++
						case !errors.Is(err, ErrExhausted) && !errors.Is(err, ErrUnavailable):
							t.Fatal(err)
						}
					}
					if (passed >= quota || !began.IsZero()) && restarts < 8 && round%4 == i {
						g.close()
						clocks[i].ahead.Add(int64([]time.Duration{-10 * time.Minute, 3 * time.Minute, 10 * time.Minute, -6 * time.Minute}[restarts%4]))
						gateways[i] = open(i)
						restarts++
					}
					gateways[i].maintainAll()
				}
				if over > 0 || !began.IsZero() || passed >= quota {
					over++
				}
				if round%4 == 3 {
					ahead += time.Duration(tt.steps[round/4%len(tt.steps)]) * time.Minute
				}
				wall.advance(time.Second)
				follow()
			}
			for _, g := range gateways {
				g.close()
			}
			length := ended.Sub(began)
			switch {
			case restarts < 5:
				t.Errorf("%d restarts", restarts)
			case tt.grace == 0 && (passed != quota || !began.IsZero()):
				t.Errorf("%d calls passed, the quota is %d", passed, quota)
			case tt.grace > 0 && (length > tt.grace+time.Second || length < tt.grace-2*time.Second && !tt.shorter): // a call each second
				t.Errorf("the grace lasted %s", length)
			}
		})
	}
}

// What is asked for display, and whether the next call will be refused, makes no window while the billing clock is not
// known: by the machine's clock it may be that of a later period, out of which there would be no way back.
func TestNoWindowBeforeTheClockIsKnown(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	ledger, err := metering.Open(metering.Config{Dir: dir, Now: c.now, SharedClock: true})
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{
		Manager:   NewManager(ledger, NewEmbedded(dir, c.now)),
		t:         t,
		ledger:    ledger,
		allowance: Allowance{Quota: 10, Hard: true},
	}
	defer g.close()
	if d := g.Restricted("acme", &g.allowance); d != 0 {
		t.Errorf("restricted for %s", d)
	}
	if s, err := g.State("acme", &g.allowance); err != nil || s.Limit != 10 || s.Period.ID != "2026-11" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, known := g.accounts.Load("acme"); known {
		t.Error("there is a window already")
	}
}
