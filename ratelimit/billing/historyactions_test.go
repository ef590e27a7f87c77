//go:build e2e

package billing

import (
	"os"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// any is one that runs.
func (h *history) any() *member {
	all := h.running()
	if len(all) == 0 {
		h.open(h.members[0])
		return h.members[0]
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(h.t, "gateway")]
}

// call makes calls.
func (h *history) call() {
	m, id := h.any(), rapid.SampledFrom(payers).Draw(h.t, "organization")
	d := Dispatch{Slug: rapid.SampledFrom([]string{"f", "g"}).Draw(h.t, "function"), Region: "eu"}
	cycle := h.configs[m.configured].cycles[id]
	d.Subject = metering.Subject{
		Organization: id,
		Project:      "p",
		Function:     d.Slug,
		Cycle:        cycle,
	}
	n := rapid.IntRange(1, 6).Draw(h.t, "calls")
	for range n {
		r := m.Receive()
		h.must(r.Take(h.ctx, "", &soft))
		h.must(r.Send(&d))
		h.must(r.Finish(metering.Ending{Status: 200}))
	}
	h.used = append(h.used, use{id, d.Slug, cycle.At(h.now()).ID, h.now(), int64(n)})
}

// change adds a configuration.
func (h *history) change(differ func(id string, c *config)) {
	last := h.configs[len(h.configs)-1]
	next := config{make(map[string]usage.Price), make(map[string]metering.Cycle)}
	for _, id := range payers {
		next.prices[id], next.cycles[id] = last.prices[id], last.cycles[id]
	}
	differ(rapid.SampledFrom(payers).Draw(h.t, "organization"), &next)
	h.configs = append(h.configs, next)
	h.configure(h.any())
}

// price draws one.
func (h *history) price() usage.Price {
	p := usage.Price{
		Plan:     rapid.SampledFrom([]string{"team", "pro"}).Draw(h.t, "plan"),
		Included: rapid.SampledFrom([]int64{-1, 0, 3, 10}).Draw(h.t, "included"),
		Package:  rapid.Int64Range(0, 4).Draw(h.t, "package"), // 0: capped
		Currency: rapid.SampledFrom([]string{"USD", "EUR"}).Draw(h.t, "currency"),
	}
	if p.Package > 0 {
		p.Minor = rapid.Int64Range(1, 300).Draw(h.t, "minor")
	}
	return p
}

// cycle draws one.
func (h *history) cycle() (c metering.Cycle) {
	if name := rapid.SampledFrom([]string{"", "Europe/Berlin", "America/New_York", "Asia/Kolkata"}).Draw(h.t, "zone"); name != "" {
		zone, err := time.LoadLocation(name)
		h.must(err)
		c.Zone = zone
	}
	if day := rapid.IntRange(0, 31).Draw(h.t, "cycle_start"); day > 0 {
		zone := c.Zone
		if zone == nil {
			zone = time.UTC
		}
		c.Anchor = time.Date(2036, 1, day, 0, 0, 0, 0, zone)
	}
	return c
}

// stop ends a gateway.
func (h *history) stop(m *member) {
	h.t.Helper()
	h.must(m.Close())
	m.Engine = nil
}

// adjust adds units to an hour that is not long over.
func (h *history) adjust() {
	m, id := h.any(), rapid.SampledFrom(payers).Draw(h.t, "organization")
	at := h.now().Add(-time.Duration(rapid.IntRange(0, 300).Draw(h.t, "minutes ago")) * time.Minute)
	order := AdjustOrder{
		Organization: id,
		Units:        rapid.Int64Range(1, 5).Draw(h.t, "units"),
		Project:      "p",
		Function:     "f",
		Region:       "eu",
		Reason:       "outage",
		Operator:     "ada",
		At:           &at,
	}
	h.update(m)
	var answer AdjustAnswer
	h.again(func() (err error) { // an error is of what is read before
		answer, err = m.Adjust(h.ctx, order)
		return err
	})
	h.used = append(h.used, use{id, "f", answer.Period.ID, at, order.Units})
}

// leave has a gateway use a store of its own. All have the same configuration while it is alone: it hears of no other.
func (h *history) leave() {
	if h.alone() {
		return
	}
	m := h.any()
	for range 2 {
		for _, m := range h.running() {
			h.configure(m)
		}
	}
	h.store(m, true)
}

// rejoin has all gateways share the store again.
func (h *history) rejoin() {
	for _, m := range h.running() {
		if m.alone {
			h.store(m, false)
			h.update(m)
		}
	}
}

// alone reports whether a gateway uses a store of its own.
func (h *history) alone() bool {
	return slices.ContainsFunc(h.members, func(m *member) bool { return m.alone })
}

// start starts a gateway that does not run.
func (h *history) start() {
	for _, m := range h.members {
		if m.Engine == nil {
			h.open(m)
			return
		}
	}
}

// lose replaces a gateway by one without its files.
func (h *history) lose() {
	m := h.any()
	if m.alone {
		return
	}
	h.stop(m)
	h.must(os.RemoveAll(m.dir))
	h.open(m)
}

// together does something unless a gateway is alone.
func (h *history) together(do func()) func() {
	return func() {
		if !h.alone() {
			do()
		}
	}
}

// action is what may happen in histories, the more often the greater its weight is.
type action struct {
	name   string
	weight int
	do     func()
}

func (h *history) actions() []action {
	pass := func(unit time.Duration, most int) func() {
		return func() { h.forward(time.Duration(rapid.IntRange(1, most).Draw(h.t, "time")) * unit) }
	}
	return []action{
		{"call", 8, h.call},
		{"seconds", 1, pass(time.Second, 59)},
		{"minutes", 4, pass(time.Minute, 90)},
		{"hours", 1, pass(time.Hour, 9)},
		{"price", 3, h.together(func() { h.change(func(id string, c *config) { c.prices[id] = h.price() }) })},
		{"cycle", 2, h.together(func() { h.change(func(id string, c *config) { c.cycles[id] = h.cycle() }) })},
		{"reload", 1, h.together(func() { h.configure(h.any()) })},
		{"adjust", 1, h.adjust},
		{"leave", 1, h.leave},
		{"rejoin", 1, h.rejoin},
		{"lose", 1, h.lose},
		{"restart", 1, func() {
			m := h.any()
			h.stop(m)
			h.open(m)
		}},
		{"stop", 1, func() { h.stop(h.any()) }},
		{"start", 1, h.start},
		{"export", 1, func() { h.export() }},
		{"faults", 1, func() {
			for _, f := range []*fakesinks.Faults{&h.stripe.Faults, &h.web.Faults} {
				f.Schedule(rapid.Uint64().Draw(h.t, "faults"), rapid.SampledFrom([]float64{0, 0.2, 0.5}).Draw(h.t, "rate"))
			}
		}},
	}
}
