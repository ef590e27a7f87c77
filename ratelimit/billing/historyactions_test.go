//go:build e2e

package billing

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/usage"
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

// dispatch draws a function of an organization.
func (h *history) dispatch(m *member, id string) Dispatch {
	d := Dispatch{Slug: rapid.SampledFrom([]string{"f", "g"}).Draw(h.t, "function"), Region: "eu"}
	d.Subject = metering.Subject{
		Organization: id,
		Project:      "p",
		Function:     d.Slug,
		Cycle:        h.configs[m.configured].cycles[id],
	}
	return d
}

// call makes calls.
func (h *history) call() {
	m, id := h.any(), rapid.SampledFrom(payers).Draw(h.t, "organization")
	d, allowance := h.dispatch(m, id), h.configs[m.configured].allowance(id)
	period := d.Subject.Cycle.At(h.now()).ID
	n := rapid.IntRange(1, 6).Draw(h.t, "calls")
	for i := range n {
		r := m.Receive()
		if err := h.take(&r, id, &allowance); err != nil {
			h.did("refused")
			r.Refused(d.Subject, http.StatusTooManyRequests)
			h.must(r.Finish(metering.Ending{Status: http.StatusTooManyRequests}))
			n = i
			break
		}
		if allowance.Hard {
			h.granted[period]++
			if has := h.granted[period]; has > h.highest && !h.divided && !h.forgot {
				h.t.Errorf("call %d of %s in %s, the limit was %d at most", has, id, period, h.highest)
			}
		}
		h.must(r.Send(&d))
		h.must(r.Finish(metering.Ending{Status: http.StatusOK}))
	}
	if n > 0 {
		h.used = append(h.used, use{id, d.Slug, period, h.now(), int64(n)})
	}
}

// take takes a unit. A store that waits for its clock to go on does not get any further.
func (h *history) take(r *Request, id string, allowance *quota.Allowance) error {
	ctx, cancel := context.WithTimeout(h.ctx, takeWait)
	defer cancel()
	err := r.Take(ctx, id, allowance)
	if !errors.Is(err, quota.ErrExhausted) && !errors.Is(err, quota.ErrUnavailable) {
		h.must(err)
	}
	return err
}

// takeWait is how long calls wait for a unit. Redis answers in a fraction of it.
const takeWait = 50 * time.Millisecond

// change adds a configuration.
func (h *history) change(differ func(id string, c *config)) {
	last := h.configs[len(h.configs)-1]
	next := config{make(map[string]usage.Price), make(map[string]metering.Cycle), last.limit}
	for _, id := range payers {
		next.prices[id], next.cycles[id] = last.prices[id], last.cycles[id]
	}
	differ(rapid.SampledFrom(payers).Draw(h.t, "organization"), &next)
	h.configs = append(h.configs, next)
	h.highest = max(h.highest, next.limit)
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
	if m.bills == nil {
		text, err := os.ReadFile(filepath.Join(m.dir, "billing.db"))
		h.must(err)
		m.bills = text
	}
}

// adjust adds units to an hour that is not long over, or deducts them.
func (h *history) adjust() {
	m, id := h.any(), rapid.SampledFrom(payers).Draw(h.t, "organization")
	at := h.now().Add(-time.Duration(rapid.IntRange(0, 300).Draw(h.t, "minutes ago")) * time.Minute)
	order := AdjustOrder{
		Organization: id,
		Units:        rapid.SampledFrom([]int64{-1, 1, -2, 2, -4, 5}).Draw(h.t, "units"),
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
		if answer, err = m.Adjust(h.ctx, order); err != nil && order.Units < 0 && strings.Contains(err.Error(), "no more than those can be deducted") {
			return nil
		}
		return err
	})
	if answer.Period == nil {
		return
	}
	if order.Units < 0 {
		h.did("deducted")
	}
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
	h.divided = true
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

// lose replaces a gateway by one without its files. Redis has what it counted and told: what both lose is lost.
func (h *history) lose() {
	m := h.any()
	if m.alone {
		return
	}
	h.forward(3 * time.Minute)
	h.verify(h.running())
	h.join(h.running())
	h.stop(m)
	h.losses++
	h.must(os.RemoveAll(m.dir))
	m.begun++
	m.bills = nil
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

// scattered draws one of n numbers. rapid draws small numbers more often than others: they are scattered first.
func scattered(t *rapid.T, what string, n int) int { return scatter(rapid.Uint32().Draw(t, what)) % n }

func scatter(n uint32) int { return int(uint64(n)*2654435761>>8) & 0xffff }

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
		{"call", 12, h.call},
		{"seconds", 1, pass(time.Second, 59)},
		{"minutes", 5, pass(time.Minute, 90)},
		{"hours", 1, pass(time.Hour, 9)},
		{"price", 3, h.together(func() { h.change(func(id string, c *config) { c.prices[id] = h.price() }) })},
		{"cycle", 3, h.together(func() { h.change(func(id string, c *config) { c.cycles[id] = h.cycle() }) })},
		{"quota", 1, h.together(func() { h.change(func(_ string, c *config) { c.limit = rapid.Int64Range(0, 20).Draw(h.t, "quota") }) })},
		{"quota set", 1, h.limit},
		{"reload", 1, h.together(func() { h.configure(h.any()) })},
		{"adjust", 2, h.adjust},
		{"leave", 2, h.leave},
		{"rejoin", 1, h.rejoin},
		{"lose", 1, h.lose},
		{"replace bills", 2, h.replaceBills},
		{"restart", 1, func() {
			m := h.any()
			h.stop(m)
			h.open(m)
		}},
		{"stop", 1, func() { h.stop(h.any()) }},
		{"start", 1, h.start},
		{"kill", 2, h.kill},
		{"empty", 1, h.empty},
		{"save", 2, h.save},
		{"restore", 3, h.restore},
		{"export", 1, func() { h.export() }},
		{"faults", 1, h.faulty},
		{"disks", 2, h.disks},
		{"repair", 1, h.unblock},
	}
}
