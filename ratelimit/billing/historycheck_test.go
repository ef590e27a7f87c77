//go:build e2e

package billing

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
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

// position is how far a period of an organization is used, and what was sold of it.
type position struct {
	used, packages int64
	size           int64 // of the packages; -1: of several sizes
}

// sell moves the position by units at a price, by the rule of docs/billing.md, and returns what they cost. sure is false if they are
// given back where packages of several sizes were sold: the rule does not say then how many of them there are.
func (p *position) sell(units int64, price usage.Price) (minor int64, sure bool) {
	begun := func(used int64) int64 {
		if used <= price.Included {
			return 0
		}
		return (used - price.Included + price.Package - 1) / price.Package
	}
	before := p.used
	p.used += units
	if price.Included < 0 || price.Package <= 0 {
		return 0, true
	}
	n := begun(p.used) - begun(before)
	sure = n >= 0 || p.size == 0 || p.size == price.Package
	switch {
	case n < 0:
		n = max(n, -p.packages)
	case n > 0 && p.size == 0:
		p.size = price.Package
	case n > 0 && p.size != price.Package:
		p.size = -1
	}
	p.packages += n
	return n * price.Minor, sure
}

// reference is what has to be paid for lines: the price rule over them, in their order. open are those for which the rule does not
// say it.
func (h *history) reference(lines []usage.Line, terms map[string]usage.Terms) (pay map[bill]int64, open map[bill]bool) {
	lines = slices.Clone(lines)
	slices.SortFunc(lines, func(a, b usage.Line) int {
		return cmp.Or(a.WindowStart.Compare(b.WindowStart), cmp.Compare(a.FunctionID, b.FunctionID), cmp.Compare(a.LedgerID, b.LedgerID))
	})
	type counter struct{ organization, period string }
	at := make(map[counter]*position)
	pay, open = make(map[bill]int64), make(map[bill]bool)
	for _, l := range lines {
		p := h.configs[0].prices[l.AccountID]
		for _, term := range terms[l.AccountID] {
			if !l.WindowStart.Before(term.From) {
				p = term.Price
			}
		}
		of := counter{l.AccountID, l.Period}
		if at[of] == nil {
			at[of] = new(position)
		}
		minor, sure := at[of].sell(l.Quantity, p)
		pay[bill{l.AccountID, l.Period, p.Currency}] += minor
		if !sure {
			open[bill{l.AccountID, l.Period, p.Currency}] = true
		}
	}
	return pay, open
}

// quantity is what was used of a function in an hour, or in the part of it that is in a period and has the same terms.
type quantity struct {
	organization, function, period string
	start                          int64
}

// witnessed is what the witness saw, as lines should have it.
func (h *history) witnessed(terms map[string]usage.Terms) map[quantity]int64 {
	made := make(map[quantity]int64)
	for _, u := range h.used {
		start := u.at.Truncate(time.Hour)
		if _, period, known := metering.CycleOf(u.period); known && period.Start.After(start) && !period.Start.After(u.at) {
			start = period.Start
		}
		for _, term := range terms[u.organization] {
			if term.From.After(start) && !term.From.After(u.at) {
				start = term.From
			}
		}
		made[quantity{u.organization, u.function, u.period, start.Unix()}] += u.n
	}
	return made
}

// totals is what an organization is billed, or what a sink was told of it.
type totals struct {
	units, over int64
	minor       map[string]int64 // by currency
	lines       int
}

func (t *totals) add(units, minor int64, currency string) {
	if t.minor == nil {
		t.minor = make(map[string]int64)
	}
	t.units += units
	t.minor[currency] += minor
	t.lines++
}

// sum is the amount in all currencies.
func (t *totals) sum() (minor int64) {
	for _, n := range t.minor {
		minor += n
	}
	return minor
}

// check compares the bills of all gateways, what sinks were told, and the reference.
func (h *history) check() {
	h.t.Helper()
	first := h.lines(h.members[0])
	for i, m := range h.members[1:] {
		if other := h.lines(m); !slices.Equal(first, other) {
			h.t.Errorf("gateway 0 has %+v, gateway %d has %+v", first, i+1, other)
		}
	}
	terms := h.members[0].opened.Load().terms.All()
	made := h.witnessed(terms)
	billed, ids := make(map[quantity]int64), make(map[string]bool)
	paid, total := make(map[bill]int64), make(map[string]*totals)
	for _, id := range payers {
		total[id] = new(totals)
	}
	for _, l := range first {
		if ids[l.LineID] {
			h.t.Errorf("two lines have the id %s", l.LineID)
		}
		ids[l.LineID] = true
		billed[quantity{l.AccountID, l.FunctionID, l.Period, l.WindowStart.Unix()}] += l.Quantity
		paid[bill{l.AccountID, l.Period, l.Currency}] += l.AmountMinor
		total[l.AccountID].add(l.Quantity, l.AmountMinor, l.Currency)
		total[l.AccountID].over += l.OverageQuantity
	}
	for _, m := range []map[quantity]int64{billed, made} {
		for of := range m {
			if billed[of] != made[of] {
				h.t.Errorf("%+v: %d are billed, %d were made; terms %+v", of, billed[of], made[of], terms)
			}
		}
	}
	want, open := h.reference(first, terms)
	for _, m := range []map[bill]int64{paid, want} {
		for of := range m {
			if open[of] {
				h.did("given back of several sizes")
				continue
			}
			if paid[of] != want[of] {
				h.t.Errorf("%+v: the bill is %d, want %d: %+v", of, paid[of], want[of], terms)
			}
		}
	}
	for _, id := range payers {
		h.checkServices(id, total[id])
	}
	h.checkHourly(first)
	for i, m := range h.members {
		h.checkFiles(i, m, total)
	}
	h.reconcile()
}

// checkServices compares what services were told with what an organization is billed.
func (h *history) checkServices(id string, total *totals) {
	h.t.Helper()
	if got := h.stripe.Sum("calls", id); got != total.units {
		h.t.Errorf("Stripe was told of %d calls of %s, billed are %d", got, id, total.units)
	}
	if got := h.stripe.Sum("over", id); got != total.over {
		h.t.Errorf("Stripe was told of %d sold units of %s, billed are %d", got, id, total.over)
	}
	units, amount, lines := h.web.Latest(id)
	if units != total.units || amount != total.sum() || lines != total.lines {
		h.t.Errorf("the webhook has %d units for %d in %d lines of %s; billed are %+v", units, amount, lines, id, total)
	}
	if units, amount := h.web.Added(id), h.web.Paid(id); units != total.units || amount != total.sum() {
		h.t.Errorf("the webhook was told of %d units for %d of %s; billed are %+v", units, amount, id, total)
	}
}

// checkHourly compares what meters have that know one value of an hour. They cannot tell apart periods that share an hour:
// docs/billing.md says so.
func (h *history) checkHourly(lines []usage.Line) {
	h.t.Helper()
	h.did("hourly meters compared")
	type hour struct {
		organization string
		start        int64
	}
	calls, over, period, shared := make(map[hour]int64), make(map[hour]int64), make(map[hour]string), make(map[hour]bool)
	for _, l := range lines {
		start := l.WindowStart.Truncate(time.Hour)
		of := hour{l.AccountID, start.Unix()}
		_, p, known := metering.CycleOf(l.Period)
		if is := period[of]; is != "" && is != l.Period || known && (p.Start.After(start) || p.End.Before(start.Add(time.Hour))) {
			shared[of] = true
		}
		period[of] = l.Period
		calls[of] += l.Quantity
		over[of] += l.OverageQuantity
	}
	for meter, want := range map[string]map[hour]int64{"hcalls": calls, "hover": over} {
		for _, id := range payers {
			for start, n := range h.hourly.Hours(meter, id) {
				if of := (hour{id, start}); n != want[of] && !shared[of] {
					h.t.Errorf("the meter %s has %d of %s at %s, want %d", meter, n, id, time.Unix(start, 0).UTC(), want[of])
				}
			}
		}
		for of, n := range want {
			if has := h.hourly.Hours(meter, of.organization)[of.start]; has != n && !shared[of] {
				h.t.Errorf("the meter %s has %d of %s at %s, want %d", meter, has, of.organization, time.Unix(of.start, 0).UTC(), n)
			}
		}
	}
	for range shared {
		h.did("an hour of two periods")
	}
}

// reconcile has a gateway compare everything.
func (h *history) reconcile() {
	h.t.Helper()
	m := h.members[rapid.IntRange(0, len(h.members)-1).Draw(h.t, "reconciling")]
	h.configure(m)
	p := *(*m.catalogue.Load()).(*plan)
	p.sinks = []usage.Sink{m.services[0]}
	m.Use(&p)
	for month := time.February; month <= time.April; month++ {
		var answer ReconcileAnswer
		h.again(func() (err error) {
			answer, err = m.Reconcile(h.ctx, ReconcileQuery{
				Query:   Query{Month: time.Date(2036, month, 1, 0, 0, 0, 0, time.UTC)},
				Against: "stripe",
			})
			return err
		})
		for _, l := range answer.Levels {
			if l.Difference != 0 {
				h.t.Errorf("%s: %+v", month, l)
			}
			if strings.Contains(l.What, "several prices") {
				h.did("a bill that Stripe cannot make")
			}
		}
	}
}
