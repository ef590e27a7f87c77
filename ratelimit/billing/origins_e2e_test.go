//go:build e2e

package billing

import (
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// fleet are two gateways that share a Redis, the second since later.
type fleet struct {
	t        *testing.T
	config   redisconn.Config
	gateways []*fixture
	calls    int64
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	config, err := redisconn.Parse(redistest.Single(t, "appendonly yes").URL())
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, config: config}
	for range 2 {
		g := newFixture(t, account("acme", soft, pays))
		g.clock.forward(time.Since(begins)) // Redis keeps hours of three days
		f.gateways = append(f.gateways, g)
	}
	return f
}

// share has a gateway use Redis.
func (f *fleet) share(g *fixture) {
	f.t.Helper()
	if err := g.Start(Settings{Logger: slog.New(slog.NewJSONHandler(g.logs, nil)), Redis: &f.config}); err != nil {
		f.t.Fatal(err)
	}
	f.present(g)
}

// present says that a gateway is there.
func (f *fleet) present(g *fixture) {
	f.t.Helper()
	conn := g.open.shared.Load().conn
	if err := conn.HashSet(f.t.Context(), "gw:instances", g.Ledger().Instance(), strconv.FormatInt(time.Now().Unix(), 10)); err != nil {
		f.t.Fatal(err)
	}
}

// called has a gateway make calls in the billing cycle that both have now.
func (f *fleet) call(g *fixture, n int, cycle metering.Cycle) {
	f.t.Helper()
	d := called
	d.Subject.Cycle = cycle
	g.call(n, d)
	f.calls += int64(n)
}

// line is what must be the same of a line item at all gateways.
type line struct {
	period, ledger          string
	quantity, before, costs int64
}

// lines are the line items of a gateway by their ids.
func (f *fleet) lines(g *fixture) map[string]line {
	f.t.Helper()
	all := make(map[string]line)
	for _, l := range g.lines() {
		if _, twice := all[l.LineID]; twice {
			f.t.Errorf("two line items have the id %s", l.LineID)
		}
		all[l.LineID] = line{l.Period, l.LedgerID, l.Quantity, l.CumBefore, l.AmountMinor}
	}
	return all
}

// check sees whether all gateways bill the calls, in the same line items.
func (f *fleet) check(when string) map[string]line {
	f.t.Helper()
	for _, g := range f.gateways {
		if _, err := g.open.shared.Load().mirror.Flush(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
	}
	one, two := f.lines(f.gateways[0]), f.lines(f.gateways[1])
	if !maps.Equal(one, two) {
		f.t.Errorf("%s: one gateway has %+v, another %+v", when, one, two)
	}
	billed := int64(0)
	for _, l := range one {
		billed += l.quantity
	}
	if billed != f.calls {
		f.t.Errorf("%s: %d are billed, %d were made", when, billed, f.calls)
	}
	return one
}

// Whatever becomes of cycles, zones and ledgers, each call is billed once, in a line item with an id that stays, which is the
// same at all gateways.
func TestGatewaysBillTheSame(t *testing.T) {
	f := newFleet(t)
	one, two := f.gateways[0], f.gateways[1]
	f.share(one)
	f.call(one, 3, metering.Cycle{})
	f.call(two, 7, metering.Cycle{}) // with a ledger of its own
	before := f.lines(two)
	f.share(two)
	var zones []*time.Location
	for _, name := range []string{"UTC", "Europe/Berlin", "Europe/Paris"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone)
	}
	known := f.check("after the second gateway joined")
	for id, l := range before {
		if known[id].quantity != l.quantity || known[id].ledger != l.ledger {
			t.Errorf("the line item %s was %+v and is %+v", id, l, known[id])
		}
	}
	anchor := time.Now().Add(-49 * time.Hour).Truncate(time.Hour)
	for i, cycle := range []metering.Cycle{
		{Anchor: anchor, Zone: zones[0]}, {Anchor: anchor, Zone: zones[1]}, {Anchor: anchor, Zone: zones[2]}, {Anchor: anchor.Add(-48 * time.Hour)}, {},
	} {
		allowance := quota.Allowance{Quota: -1, Cycle: cycle}
		for _, g := range f.gateways {
			g.change(func(p *plan) { p.accounts = []Account{account("acme", allowance, pays)} })
		}
		f.call(one, 11+i, cycle)
		f.call(two, 5+i, cycle)
		now := f.check(fmt.Sprintf("after change %d of the cycle", i))
		for id := range known {
			if _, there := now[id]; !there {
				t.Errorf("the line item %s, %+v, is gone", id, known[id])
			}
		}
		known = now
	}
	if len(known) != 6 {
		t.Errorf("%d line items: %+v", len(known), known)
	}
}

// A number in Redis that is not what its gateway counted is not billed for long.
func TestWrongNumbersInRedisAreSetRight(t *testing.T) {
	f := newFleet(t)
	one, two := f.gateways[0], f.gateways[1]
	f.share(one)
	f.share(two)
	f.call(one, 10, metering.Cycle{})
	f.check("at first")
	s := one.open.shared.Load()
	key := fmt.Sprintf("gw:{q:%02d}:c:%s", metering.Shard("acme"), one.Ledger().Instance())
	fields, err := s.conn.HashAll(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		if value != "10" {
			continue
		}
		for _, wrong := range []string{"4", "5000"} {
			if err := s.conn.HashSet(t.Context(), key, name, wrong); err != nil {
				t.Fatal(err)
			}
			f.lines(two) // it reads the wrong number
			answer, err := one.Reconcile(t.Context(), ReconcileQuery{})
			if err != nil || answer.OK && name[0] == 'm' && len(name) > 20 && name[len(name)-11:] == "invocations" {
				t.Errorf("%s=%s: %+v, %v", name, wrong, answer, err)
			}
			f.check(name + "=" + wrong)
		}
	}
	if n := one.logs.count(`"level":"WARN"`, "sums in Redis differed from the ledger and were set right", key); n == 0 {
		t.Error("it was not logged")
	}
}
