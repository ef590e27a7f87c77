package quota

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// clock is the time of a test.
type clock struct{ micro atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.micro.Store(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time { return time.UnixMicro(c.micro.Load()).UTC() }

func (c *clock) advance(d time.Duration) { c.micro.Add(d.Microseconds()) }

// gateway is a ledger with quotas over it.
type gateway struct {
	*Manager
	t         *testing.T
	ledger    *metering.Ledger
	allowance Allowance
}

func openGateway(t *testing.T, dir string, c *clock, allowance Allowance) *gateway {
	t.Helper()
	ledger, err := metering.Open(metering.Config{Dir: dir, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{
		Manager:   NewManager(ledger, NewEmbedded(dir, c.now)),
		t:         t,
		ledger:    ledger,
		allowance: allowance,
	}
}

func (g *gateway) close() {
	g.t.Helper()
	g.Close(context.Background())
	if err := g.ledger.Close(); err != nil {
		g.t.Error(err)
	}
}

// call is an invocation: taken and recorded.
func (g *gateway) call() error {
	_, err := g.take()
	return err
}

func (g *gateway) take() (Unit, error) {
	unit, err := g.Take(context.Background(), "acme", &g.allowance)
	if err != nil {
		return unit, err
	}
	subject, err := g.ledger.Subject(metering.Subject{
		Organization: "acme",
		Project:      "p",
		Function:     "f",
		Cycle:        g.allowance.Cycle,
	})
	if err == nil {
		_, err = g.ledger.Admit(metering.Invocation{Subject: subject, Region: 0, At: unit.At})
	}
	if err != nil {
		g.t.Error(err)
	}
	return unit, nil
}

// used calls until the quota is used up, and returns how often that was possible.
func (g *gateway) used(most int) int {
	g.t.Helper()
	for n := range most {
		if err := g.call(); err != nil {
			if !errors.Is(err, ErrExhausted) {
				g.t.Fatal(err)
			}
			return n
		}
	}
	return most
}

func hard(quota int64) Allowance { return Allowance{Quota: quota, Hard: true} }

func TestQuotaIsExact(t *testing.T) {
	for _, quota := range []int64{0, 1, 2, 7, 1000} {
		c := newClock()
		g := openGateway(t, t.TempDir(), c, hard(quota))
		var passed atomic.Int64
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() {
				for range quota/4 + 2 {
					if g.call() == nil {
						passed.Add(1)
					}
				}
			})
		}
		running.Wait()
		if passed.Load() != quota {
			t.Errorf("%d of %d", passed.Load(), quota)
		}
		if wait := g.Restricted("acme", &g.allowance); wait != 6*24*time.Hour+12*time.Hour {
			t.Errorf("restricted for %s", wait)
		}
		g.close()
	}
}

func TestQuotaOverRestarts(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	total := 0
	for _, n := range []int{3, 0, 40, 1, 1000} {
		g := openGateway(t, dir, c, hard(100))
		total += g.used(n)
		g.close()
	}
	if total != 100 {
		t.Errorf("%d of 100", total)
	}
}

// Gateways that share an authority use all of a quota, and no more.
func TestQuotaOfSeveralGateways(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	gateways := make([]*gateway, 3)
	for i := range gateways {
		gateways[i] = openGateway(t, dir, c, hard(500))
	}
	used := make([]int, len(gateways))
	deadline := time.Now().Add(20 * time.Second)
	for sum := 0; sum < 500 && time.Now().Before(deadline); {
		var running sync.WaitGroup
		for i, g := range gateways {
			running.Go(func() { used[i] += g.used(200) })
		}
		running.Wait()
		for _, g := range gateways {
			g.maintainAll()
		}
		c.advance(time.Second)
		sum = used[0] + used[1] + used[2]
	}
	for range 5 {
		c.advance(10 * time.Second)
		for i, g := range gateways {
			used[i] += g.used(10)
		}
	}
	if sum := used[0] + used[1] + used[2]; sum != 500 {
		t.Errorf("%v of 500", used)
	}
	for _, g := range gateways {
		g.close()
	}
}

// The grants of gateways that were killed go back by the one that takes their logs over.
func TestQuotaOfGatewaysThatAreGone(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	first, second := openGateway(t, dir, c, hard(100)), openGateway(t, dir, c, hard(100))
	total := first.used(1) + second.used(1)
	for _, g := range []*gateway{first, second} { // as if it was killed: nothing goes back
		g.stop()
		g.stopped.Wait()
		if err := g.ledger.Close(); err != nil {
			t.Fatal(err)
		}
	}
	g := openGateway(t, dir, c, hard(100))
	defer g.close()
	if total += g.used(1000); total != 100 {
		t.Errorf("%d of 100", total)
	}
}

// The grants of a killed gateway go back although no request for the organization comes to the one that took its log over.
func TestQuotaOfGatewaysThatNobodyCalls(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	first, second := openGateway(t, dir, c, hard(100)), openGateway(t, dir, c, hard(100))
	total := first.used(1) + second.used(1)
	for _, g := range []*gateway{first, second} { // killed
		g.stop()
		g.stopped.Wait()
		if err := g.ledger.Close(); err != nil {
			t.Fatal(err)
		}
	}
	heir := openGateway(t, dir, c, hard(100)) // takes one log over as its own, and the other one as an orphan
	defer heir.close()
	other := openGateway(t, dir, c, hard(100))
	defer other.close()
	for deadline := time.Now().Add(30 * time.Second); total < 100 && time.Now().Before(deadline); c.advance(100 * time.Millisecond) {
		total += other.used(100)
		<-time.After(time.Millisecond)
	}
	if total += other.used(100); total != 100 {
		t.Errorf("%d of 100", total)
	}
}

func TestQuotaUnitsGoBack(t *testing.T) {
	g := openGateway(t, t.TempDir(), newClock(), hard(3))
	defer g.close()
	for range 20 {
		unit, err := g.Take(t.Context(), "acme", &g.allowance)
		if err != nil {
			t.Fatal(err)
		}
		unit.Return()
	}
	if n := g.used(10); n != 3 {
		t.Errorf("%d of 3", n)
	}
	Unit{}.Return()
}

// away is an authority that nobody can reach.
type away struct{ Authority }

func (away) Claim(context.Context, Claim) (Answer, error) { return Answer{}, ErrUnavailable }

// An open allowance admits invocations while the authority is away, and counts them later.
func TestQuotaOpenWithoutAuthority(t *testing.T) {
	c := newClock()
	g := openGateway(t, t.TempDir(), c, Allowance{Quota: 1000, Hard: true, Open: true})
	defer g.close()
	here := *g.authority.Load()
	gone := Authority(away{here})
	g.authority.Store(&gone)
	if n := g.used(30); n != 30 {
		t.Errorf("%d of 30", n)
	}
	g.authority.Store(&here)
	c.advance(time.Minute)
	if n := g.used(2000); n != 970 {
		t.Errorf("%d more, want 970", n)
	}
}

func TestQuotaWithoutAuthority(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	g := openGateway(t, dir, c, hard(1000))
	defer g.close()
	if err := g.call(); err != nil {
		t.Fatal(err)
	}
	here := *g.authority.Load()
	var gone Authority = away{here}
	g.authority.Store(&gone)
	served := 1
	for g.call() == nil {
		served++
	}
	if served < 40 || served > 60 {
		t.Errorf("%d were served of what was granted, 5 %% of 1000", served)
	}
	if err := g.call(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	soft := Allowance{Quota: 1000}
	if _, err := g.Take(t.Context(), "acme", &soft); err != nil {
		t.Errorf("a soft plan asks nobody: %v", err)
	}
	g.authority.Store(&here)
	c.advance(time.Minute) // it is not asked all the time
	if n := g.used(2000); n != 1000-served-1 {
		t.Errorf("%d, want %d", n, 1000-served-1)
	}
}

// The authority changes back and forth while calls go on: the limit holds over both.
func TestQuotaMovesToAnotherAuthority(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	g := openGateway(t, dir, c, hard(2000))
	defer g.close()
	first, second := *g.authority.Load(), Authority(NewEmbedded(t.TempDir(), c.now))
	var passed atomic.Int64
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 1000 {
				if g.call() == nil {
					passed.Add(1)
				}
			}
		})
	}
	for i := range 20 {
		<-time.After(2 * time.Millisecond) // calls go on
		g.SetAuthority(t.Context(), []Authority{second, first}[i%2])
	}
	running.Wait()
	c.advance(time.Minute)
	passed.Add(int64(g.used(5000)))
	if passed.Load() != 2000 {
		t.Errorf("%d of 2000", passed.Load())
	}
}

// The first grants of the next period are claimed before it begins, and each invocation counts in one period.
func TestQuotaRollsOver(t *testing.T) {
	c := newClock()
	c.advance(6*24*time.Hour + 12*time.Hour - time.Second) // a second before December
	g := openGateway(t, t.TempDir(), c, hard(1000))
	defer g.close()
	if n := g.used(3); n != 3 {
		t.Fatal(n)
	}
	g.maintainAll()
	a, _ := g.accounts.Load("acme")
	a.mu.Lock()
	if a.next == nil || a.next.unspent.Load() == 0 {
		t.Error("nothing is prepared")
	}
	a.mu.Unlock()
	var running sync.WaitGroup
	var calls atomic.Int64
	for range 4 {
		running.Go(func() {
			for range 200 {
				c.advance(10 * time.Millisecond)
				if g.call() == nil {
					calls.Add(1)
				}
			}
		})
	}
	running.Wait()
	usage, err := g.ledger.Usage()
	if err != nil {
		t.Fatal(err)
	}
	sum := uint64(0)
	for _, u := range usage {
		if u.Span == metering.Monthly {
			sum += u.Invocations
		}
	}
	if sum != uint64(calls.Load())+3 || calls.Load() != 800 {
		t.Errorf("%d are counted, %d were made", sum, calls.Load()+3)
	}
	if n := g.used(2000); n > 1000 || n < 200 {
		t.Errorf("%d of the new period's 1000", n)
	}
}
