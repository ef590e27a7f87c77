//go:build e2e

package billing

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

// historyBegins is when histories begin. In the two days and a half that they may last, Europe sets its clocks forward and a
// month ends. Redis, which expires hours by its own clock, keeps all of them until then.
var historyBegins = time.Date(2036, 3, 29, 20, 20, 20, 0, time.UTC)

// historyLasts is less than the time for which Redis has hours.
const historyLasts = 60 * time.Hour

// payers are the organizations of histories.
var payers = []string{"acme", "globex"}

// config is what the configuration says of organizations.
type config struct {
	prices map[string]usage.Price
	cycles map[string]metering.Cycle
}

// use is what a witness saw: a call, or an adjustment.
type use struct {
	organization, function, period string
	at                             time.Time
	n                              int64
}

// member is one of the gateways of a history.
type member struct {
	*Engine     // nil: it does not run
	dir         string
	configured  int  // the version of the configuration that it has
	alone       bool // its store is embedded
	stripe, web usage.Service
}

// history is three gateways that share a Redis, services that they tell what they bill, and a witness.
type history struct {
	t       *rapid.T
	ctx     context.Context
	redis   redisconn.Config
	ahead   atomic.Int64
	configs []config
	members []*member
	used    []use
	stripe  *fakesinks.Stripe
	web     *fakesinks.Receiver
	urls    [2]string
}

func (h *history) now() time.Time { return historyBegins.Add(time.Duration(h.ahead.Load())) }

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// again tries something until it succeeds: on a busy machine an answer of Redis may come too late.
func (h *history) again(try func() error) {
	h.t.Helper()
	err := try()
	for tries := 0; err != nil && tries < 20; tries++ {
		err = try()
	}
	h.must(err)
}

// open starts a gateway with the last configuration.
func (h *history) open(m *member) {
	h.t.Helper()
	m.Engine = NewEngine(m.dir)
	m.Engine.now = h.now
	h.store(m, m.alone)
	customers := func() map[string]string {
		all := make(map[string]string)
		for _, id := range payers {
			all[id] = id
		}
		return all
	}
	m.stripe = stripemeter.New(stripemeter.Config{
		Key:       "key",
		Meter:     "calls",
		Overage:   "over",
		Customers: customers,
		URL:       h.urls[0],
		Now:       h.now,
	})
	web, err := webhook.New(webhook.Config{
		Title: "web",
		URL:   h.urls[1] + "/",
		Batch: 3,
		Now:   h.now,
	})
	h.must(err)
	m.web = web
	h.configure(m)
}

// store puts a store into force.
func (h *history) store(m *member, alone bool) {
	h.t.Helper()
	m.alone = alone
	s := Settings{Logger: slog.New(slog.DiscardHandler), Sync: metering.SyncNone}
	if !alone {
		s.Redis = &h.redis
	}
	h.must(m.Start(s))
}

// configure puts the last configuration into force.
func (h *history) configure(m *member) {
	h.t.Helper()
	m.configured = len(h.configs) - 1
	c := h.configs[m.configured]
	p := new(plan)
	for _, id := range payers {
		p.accounts = append(p.accounts, account(id, quota.Allowance{Quota: -1, Cycle: c.cycles[id]}, c.prices[id]))
	}
	m.Use(p)
	h.update(m)
}

// update sends the sums of a gateway, says that it is there and brings its lines up to date.
func (h *history) update(m *member) {
	h.t.Helper()
	if s := m.Shared(); s != nil {
		h.again(func() error {
			_, err := s.mirror.Flush(h.ctx)
			return err
		})
		h.again(func() error {
			return s.conn.HashSet(h.ctx, "gw:instances", m.Ledger().Instance(), strconv.FormatInt(h.now().Unix(), 10))
		})
	}
	h.again(func() error {
		_, err := m.Update(h.ctx)
		return err
	})
}

// running are the gateways that run.
func (h *history) running() []*member {
	return slices.DeleteFunc(slices.Clone(h.members), func(m *member) bool { return m.Engine == nil })
}

// forward lets time pass, in which gateways do what they do every few seconds, and every minute.
func (h *history) forward(by time.Duration) {
	h.t.Helper()
	if time.Duration(h.ahead.Load())+by > historyLasts {
		return
	}
	all := h.running()
	for range 2 { // whoever is first learns also of what later ones change
		for _, m := range all {
			h.again(func() error { return m.syncTerms(h.ctx, m.opened.Load()) })
		}
	}
	h.ahead.Add(int64(by))
	h.stripe.Set(h.now())
	h.web.Set(h.now())
	if by > time.Minute {
		for _, m := range all {
			h.update(m)
		}
		h.export()
	}
}

// export is a round of all exporters at all gateways. It reports whether all went well.
func (h *history) export() bool {
	ok := true
	for _, m := range h.running() {
		for _, s := range []usage.Service{m.stripe, m.web} {
			x := m.opened.Load().exports
			x.once(h.ctx, s)
			state := x.state(s.Name())
			ok = ok && !state.failing()
		}
	}
	return ok
}

// settle heals everything and waits until all is billed, and told.
func (h *history) settle() {
	h.t.Helper()
	h.stripe.Heal()
	h.web.Heal()
	for _, m := range h.members {
		if m.Engine == nil {
			h.open(m)
		}
		h.store(m, false)
		h.configure(m)
	}
	for range 2 {
		h.ahead.Add(int64(70 * time.Minute))
		h.stripe.Set(h.now())
		h.web.Set(h.now())
		for range 2 {
			for _, m := range h.members {
				h.update(m)
			}
		}
	}
	// The first good round looks again at what was told, the second tells what differs.
	for good, tries := 0, 0; good < 3; tries++ {
		if good++; !h.export() {
			good = 0
		}
		if tries == 40 {
			for _, m := range h.members {
				for _, s := range []usage.Service{m.stripe, m.web} {
					if state := m.opened.Load().exports.state(s.Name()); state.failing() {
						h.t.Fatalf("%s: %v", s.Name(), state.err)
					}
				}
			}
		}
	}
}
