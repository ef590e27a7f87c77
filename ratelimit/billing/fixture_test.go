package billing

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// plan is a catalogue made by hand. One that is in force is not changed.
type plan struct {
	missing  bool // the projects were not loaded yet
	accounts []Account
	sinks    []usage.Sink
}

func (p *plan) Loaded() bool                { return !p.missing }
func (p *plan) Accounts() iter.Seq[Account] { return slices.Values(p.accounts) }
func (p *plan) Regions() []string           { return []string{"eu"} }
func (p *plan) Sinks() []usage.Sink         { return p.sinks }

func (p *plan) DefaultPrice() usage.Price { return usage.Price{Included: -1, Currency: "USD"} }

// account is one with a project "p" that has the functions "f" and "g".
func account(id string, allowance quota.Allowance, price usage.Price) Account {
	functions := []string{"f", "g"}
	return Account{
		ID:        id,
		Allowance: allowance,
		Price:     price,
		Projects: slices.Values([]Project{{
			Ref:       "p",
			Functions: slices.Values(functions),
			Has:       func(slug string) bool { return slices.Contains(functions, slug) },
		}}),
	}
}

// soft is an allowance without an end.
var soft = quota.Allowance{Quota: -1}

// pays is what acme pays: a dollar for each 2 invocations beyond 3.
var pays = usage.Price{Plan: "team", Included: 3, Package: 2, Minor: 100, Currency: "USD"}

// clock is a clock of the machine that tests set forward. It goes on by itself.
type clock struct {
	began time.Time
	ahead atomic.Int64
}

func (c *clock) now() time.Time {
	return begins.Add(time.Since(c.began) + time.Duration(c.ahead.Load()))
}

func (c *clock) forward(by time.Duration) { c.ahead.Add(int64(by)) }

// begins is when the clocks of tests begin: in the middle of an hour.
var begins = time.Date(2026, 11, 18, 14, 30, 0, 0, time.UTC)

// logs are lines of JSON.
type logs struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines have all of the texts.
func (l *logs) count(texts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// fixture is an engine with a catalogue and a clock of its own.
type fixture struct {
	*Engine
	t     *testing.T
	plan  *plan
	clock *clock
	logs  *logs
	open  *opened
}

func newFixture(t *testing.T, accounts ...Account) *fixture {
	t.Helper()
	return reopen(t, t.TempDir(), &clock{began: time.Now()}, accounts...)
}

// reopen is newFixture on a directory, at the time of a clock.
func reopen(t *testing.T, dir string, c *clock, accounts ...Account) *fixture {
	t.Helper()
	f := &fixture{Engine: NewEngine(dir), t: t, plan: &plan{accounts: accounts}, clock: c, logs: new(logs)}
	f.now = c.now
	if err := f.Start(Settings{Logger: slog.New(slog.NewJSONHandler(f.logs, nil))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.end)
	f.Use(f.plan)
	f.open = f.opened.Load()
	return f
}

// change puts a catalogue into force that differs from the one before.
func (f *fixture) change(differ func(*plan)) {
	next := *f.plan
	differ(&next)
	f.plan = &next
	f.Use(f.plan)
}

// end closes the engine, once.
func (f *fixture) end() {
	if f.open == nil {
		return
	}
	f.open = nil
	if err := f.Close(); err != nil {
		f.t.Error(err)
	}
}

// called is a function that organization acme's project has.
var called = Dispatch{Subject: metering.Subject{Organization: "acme", Project: "p", Function: "f"}, Slug: "f", Region: "eu"}

// admitted is a request that took its unit.
func (f *fixture) admitted() *Request {
	f.t.Helper()
	r := f.Receive()
	if err := r.Take(f.t.Context(), "", &soft); err != nil {
		f.t.Fatal(err)
	}
	return &r
}

// call makes invocations.
func (f *fixture) call(n int, d Dispatch) {
	f.t.Helper()
	for range n {
		r := f.admitted()
		if err := r.Send(&d); err != nil {
			f.t.Fatal(err)
		}
		if err := r.Finish(metering.Ending{Status: 200}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// lines are all line items, up to date.
func (f *fixture) lines() (lines []usage.Line) {
	f.t.Helper()
	if _, err := f.Update(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	for l, err := range f.open.lines.Lines(func(string, string) bool { return true }) {
		if err != nil {
			f.t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// mirror is a store in Redis, as far as the engine asks for other gateways.
type mirror struct {
	sums, own []metering.Entry
	seen      map[string]metering.Presence
	fails     map[string]error // by the method
	flushed   func()
	verified  int
	young     bool
}

func (m *mirror) PeerSums(context.Context, string) ([]metering.Entry, error) {
	return m.sums, m.fails["PeerSums"]
}

func (m *mirror) OwnSums(context.Context) ([]metering.Entry, error) {
	return m.own, m.fails["OwnSums"]
}

func (m *mirror) Peers(context.Context) (map[string]metering.Presence, error) {
	return m.seen, m.fails["Peers"]
}

func (m *mirror) Young() bool { return m.young }

func (m *mirror) Flush(context.Context) (int, error) {
	if m.flushed != nil {
		m.flushed()
	}
	return 0, m.fails["Flush"]
}

func (m *mirror) Join(context.Context, time.Time) error { return m.fails["Join"] }
func (m *mirror) Complete(context.Context) error        { return m.fails["Complete"] }
func (m *mirror) Note(context.Context) error            { return m.fails["Note"] }
func (m *mirror) Joins() uint64                         { return 0 }
func (m *mirror) Left() error                           { return m.fails["Left"] }
func (*mirror) StoreID() string                         { return "" }

func (m *mirror) Copied() error { return m.fails["Copied"] }

func (m *mirror) Verify(context.Context) error {
	m.verified++
	return m.fails["Verify"]
}

// with has the engine share a store until the test ends.
func (f *fixture) with(m *mirror) { f.share(&SharedStore{url: "redis://test", peers: m, joiner: m}) }

func (f *fixture) share(s *SharedStore) {
	f.open.shared.Store(s)
	f.t.Cleanup(func() {
		if f.open != nil {
			f.open.shared.Store(nil)
		}
	})
}
