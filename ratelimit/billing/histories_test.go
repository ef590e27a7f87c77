//go:build e2e

package billing

import (
	"cmp"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// lines are the lines of a gateway, without what depends on when it heard of changes.
func (h *history) lines(m *member) (all []usage.Line) {
	h.t.Helper()
	for l, err := range m.opened.Load().lines.Lines(func(string, string) bool { return true }) {
		h.must(err)
		if l.State == usage.Provisional {
			h.t.Errorf("provisional: %+v", l)
		}
		l.Revision, l.State, l.SHA256 = 0, "", ""
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b usage.Line) int { return cmp.Compare(a.LineID, b.LineID) })
	return all
}

// bill is what an organization pays for a period in a currency.
type bill struct{ organization, period, currency string }

// reference is what has to be paid: the price rule, unit by unit, over what the witness saw.
func (h *history) reference(terms map[string]usage.Terms) map[bill]int64 {
	slices.SortStableFunc(h.used, func(a, b use) int { return a.at.Compare(b.at) })
	type counter struct{ organization, period string }
	has, pay := make(map[counter]int64), make(map[bill]int64)
	for _, u := range h.used {
		p := h.configs[0].prices[u.organization]
		for _, term := range terms[u.organization] {
			if !u.at.Before(term.From) {
				p = term.Price
			}
		}
		of := counter{u.organization, u.period}
		for range u.n {
			has[of]++
			if beyond := has[of] - p.Included; p.Included >= 0 && p.Package > 0 && beyond > 0 && (beyond-1)%p.Package == 0 {
				pay[bill{u.organization, u.period, p.Currency}] += p.Minor
			}
		}
	}
	return pay
}

// check compares the bills of all gateways, what services were told, and the reference.
func (h *history) check() {
	h.t.Helper()
	first := h.lines(h.members[0])
	for i, m := range h.members[1:] {
		if other := h.lines(m); !slices.Equal(first, other) {
			h.t.Errorf("gateway 0 has %+v, gateway %d has %+v", first, i+1, other)
		}
	}
	type quantity struct{ organization, function, period string }
	billed, made := make(map[quantity]int64), make(map[quantity]int64)
	paid, total, over, costs, n := make(map[bill]int64), make(map[string]int64), make(map[string]int64), make(map[string]int64), make(map[string]int)
	ids := make(map[string]bool)
	for _, l := range first {
		if ids[l.LineID] {
			h.t.Errorf("two lines have the id %s", l.LineID)
		}
		ids[l.LineID] = true
		billed[quantity{l.AccountID, l.FunctionID, l.Period}] += l.Quantity
		if l.AmountMinor != 0 {
			paid[bill{l.AccountID, l.Period, l.Currency}] += l.AmountMinor
		}
		total[l.AccountID] += l.Quantity
		over[l.AccountID] += l.OverageQuantity
		costs[l.AccountID] += l.AmountMinor
		n[l.AccountID]++
	}
	for _, u := range h.used {
		made[quantity{u.organization, u.function, u.period}] += u.n
	}
	for _, m := range []map[quantity]int64{billed, made} {
		for of := range m {
			if billed[of] != made[of] {
				h.t.Errorf("%+v: %d are billed, %d were made", of, billed[of], made[of])
			}
		}
	}
	terms := h.members[0].opened.Load().terms.All()
	want := h.reference(terms)
	for _, m := range []map[bill]int64{paid, want} {
		for of := range m {
			if paid[of] != want[of] {
				h.t.Errorf("%+v: the bill is %d, want %d: %+v", of, paid[of], want[of], terms)
			}
		}
	}
	for _, id := range payers {
		if got := h.stripe.Sum("calls", id); got != total[id] {
			h.t.Errorf("Stripe was told of %d calls of %s, billed are %d", got, id, total[id])
		}
		if got := h.stripe.Sum("over", id); got != over[id] {
			h.t.Errorf("Stripe was told of %d sold units of %s, billed are %d", got, id, over[id])
		}
		units, amount, lines := h.web.Latest(id)
		if added := h.web.Added(id); added != total[id] || units != total[id] || amount != costs[id] || lines != n[id] {
			h.t.Errorf("the webhook was told of %d units, latest %d for %d in %d lines of %s; billed are %d for %d in %d", added, units, amount, lines, id, total[id], costs[id], n[id])
		}
	}
}

// Whatever happens to cycles, zones, prices, caps, currencies and gateways while services fail: all gateways bill the same, which
// is what the price rule says of each call, and services are told the same.
func TestHistories(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set("rapid.checks", strconv.Itoa(histories)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set("rapid.checks", checks.DefValue) })
	}
	server := redistest.Single(t)
	clocked := newClockedRedis(t, server.Address)
	redis, err := redisconn.Parse(clocked.URL())
	if err != nil {
		t.Fatal(err)
	}
	root, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		server.Exec("FLUSHALL")
		h := &history{
			t:     rt,
			ctx:   t.Context(),
			redis: redis,
			stripe: &fakesinks.Stripe{
				Key:       "key",
				Meters:    []string{"calls", "over"},
				Customers: map[string]bool{payers[0]: true, payers[1]: true},
			},
			web: &fakesinks.Receiver{Path: "/"},
		}
		clocked.follow(h.now)
		h.stripe.Set(h.now())
		h.web.Set(h.now())
		stripe, web := httptest.NewServer(h.stripe), httptest.NewServer(h.web)
		defer stripe.Close()
		defer web.Close()
		h.urls = [2]string{stripe.URL, web.URL}
		first := config{make(map[string]usage.Price), make(map[string]metering.Cycle)}
		for _, id := range payers {
			first.prices[id], first.cycles[id] = pays, metering.Cycle{}
		}
		h.configs = []config{first}
		defer func() {
			var closing sync.WaitGroup
			for _, m := range h.running() {
				closing.Go(func() { _ = m.Close() })
			}
			closing.Wait()
			_ = os.RemoveAll(filepath.Join(root, strconv.Itoa(n)))
		}()
		for i := range 3 {
			m := &member{dir: filepath.Join(root, strconv.Itoa(n), strconv.Itoa(i))}
			h.members = append(h.members, m)
			h.open(m)
		}
		var actions []int // by weight
		for i, a := range h.actions() {
			actions = append(actions, slices.Repeat([]int{i}, a.weight)...)
		}
		for _, i := range rapid.SliceOfN(rapid.SampledFrom(actions), 5, 35).Draw(rt, "actions") {
			a := h.actions()[i]
			rt.Log(a.name)
			a.do()
		}
		h.settle()
		h.check()
	})
}
