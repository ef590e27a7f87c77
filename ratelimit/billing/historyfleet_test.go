//go:build e2e

package billing

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
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

// payers are the organizations of histories. The second has a hard quota.
var payers = []string{"acme", "globex"}

// config is what the configuration says of organizations.
type config struct {
	prices map[string]usage.Price
	cycles map[string]metering.Cycle
	limit  int64 // of the second
}

// use is what a witness saw: a call, or an adjustment.
type use struct {
	organization, function, period string
	at                             time.Time
	n                              int64
}

// member is one of the gateways of a history.
type member struct {
	*Engine    // nil: it does not run
	dir        string
	out        string // where its file sinks write
	configured int    // the version of the configuration that it has
	alone      bool   // its store is embedded
	begun      int    // how often it had another billing.db: each writes FOCUS to a directory of its own
	bills      []byte // its billing.db when it first stopped
	services   []usage.Service
	files      []usage.Sink
}

// sinks are all that it tells something.
func (m *member) sinks() (all []usage.Sink) {
	for _, s := range m.services {
		all = append(all, s)
	}
	return append(all, m.files...)
}

// history is three gateways that share a Redis, services that they tell what they bill, and a witness.
type history struct {
	t       *rapid.T
	ctx     context.Context
	redis   redisconn.Config
	server  *redistest.Server
	ahead   atomic.Int64
	configs []config
	members []*member
	used    []use
	met     map[string]int // how often each action and each fault was met, in all histories

	stripe *fakesinks.Stripe
	hourly *fakesinks.Stripe // its meters replace what they had of an hour
	web    *fakesinks.Receiver
	urls   [3]string

	kills, losses int
	copy          []byte // of the data of Redis
	copied        int    // losses at the time of copy
	divided       bool   // a gateway was alone: each store grants a quota of its own
	// forgot says that Redis lost grants. Gateways say within seconds of the machine's clock what they hold: the clock of
	// histories is ahead by then. The tests of package quota have that.
	forgot  bool
	highest int64            // the highest limit of the second organization so far
	granted map[string]int64 // calls of the second organization, by period
}

// did counts that something was met.
func (h *history) did(what string) { h.met[what]++ }

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
	stripe := func(prefix, url string) usage.Service {
		return stripemeter.New(stripemeter.Config{
			Key:       "key",
			Meter:     prefix + "calls",
			Overage:   prefix + "over",
			Customers: customers,
			URL:       url,
			Now:       h.now,
		})
	}
	web, err := webhook.New(webhook.Config{
		Title: "web",
		URL:   h.urls[2] + "/",
		Batch: 3,
		Now:   h.now,
	})
	h.must(err)
	m.services = []usage.Service{stripe("", h.urls[0]), stripe("h", h.urls[1]), web}
	m.files = []usage.Sink{
		&usage.Files{Dir: filepath.Join(m.out, "jsonl"), Format: usage.JSONL},
		&usage.Files{Dir: filepath.Join(m.out, "focus"+strconv.Itoa(m.begun)), Format: usage.FOCUS},
	}
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

// allowance is that of an organization.
func (c *config) allowance(id string) quota.Allowance {
	if id == payers[1] {
		return quota.Allowance{Quota: c.limit, Hard: true, Cycle: c.cycles[id]}
	}
	return quota.Allowance{Quota: -1, Cycle: c.cycles[id]}
}

// configure puts the last configuration into force.
func (h *history) configure(m *member) {
	h.t.Helper()
	m.configured = len(h.configs) - 1
	c := h.configs[m.configured]
	p := new(plan)
	for _, id := range payers {
		p.accounts = append(p.accounts, account(id, c.allowance(id), c.prices[id]))
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
	h.pass(by)
	if by > 2*time.Minute {
		h.verify(all)
	}
	if by > time.Minute {
		for _, m := range all {
			h.update(m)
		}
		h.export()
	}
}

// pass sets all clocks forward.
func (h *history) pass(by time.Duration) {
	h.ahead.Add(int64(by))
	for _, f := range h.services() {
		f.Set(h.now())
	}
}

// verify has gateways say which build they are, as they do every minute, send what Redis lost, as they do every five seconds, and
// compare the rest with their ledgers, as they do every two minutes.
func (h *history) verify(all []*member) {
	h.t.Helper()
	for range 2 { // whoever is first learns also of what later ones say
		for _, m := range all {
			if s := m.Shared(); s != nil {
				h.again(func() error { return s.mirror.Agree(h.ctx) })
			}
		}
	}
	for _, m := range all {
		if s := m.Shared(); s != nil {
			h.again(func() error {
				_, err := s.mirror.Flush(h.ctx)
				return errors.Join(err, s.mirror.Verify(h.ctx))
			})
		}
	}
}

// export is a round of all exporters at all gateways. It reports whether all went well.
func (h *history) export() bool {
	ok := true
	for _, m := range h.running() {
		for _, s := range m.sinks() {
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
	for _, f := range h.services() {
		f.Heal()
	}
	h.unblock()
	for _, m := range h.members {
		if m.Engine == nil {
			h.open(m)
		}
		h.store(m, false)
		h.configure(m)
	}
	for range 2 {
		h.pass(70 * time.Minute)
		h.verify(h.members)
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
				for _, s := range m.sinks() {
					if state := m.opened.Load().exports.state(s.Name()); state.failing() {
						h.t.Fatalf("%s: %v", s.Name(), state.err)
					}
				}
			}
		}
	}
}
