package usage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

const (
	hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the example of the convention
	stripeKey  = "sk_test_fake"
)

// soldPrice include 1000 and sell a hundred for 2.00.
var soldPrice = usage.Price{Plan: "pro", Included: 1000, Package: 100, Minor: 200, Currency: "USD"}

// sink is a service under test with what stands in for it.
type sink struct {
	name    string
	service usage.Service
	faults  *fakesinks.Faults
	has     func(account string) int64 // that it counted
}

// rigStart is the first hour of a rig.
var rigStart = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// servers starts what stands in for all services. Their clocks are two days after rigStart: services refuse what is old.
func servers(t *testing.T, url func(name string, at string) string, batch int) []*sink {
	t.Helper()
	clock := func(f *fakesinks.Faults) func() time.Time { return f.Now }
	customers := func() map[string]string { return map[string]string{"acme": "cus_acme", "globex": "cus_globex"} }
	var all []*sink
	for _, window := range []string{"", "hour"} {
		meter := "edge" + window
		fake := &fakesinks.Stripe{
			Key: stripeKey, Window: window, Meters: []string{meter, meter + "_overage"}, Customers: map[string]bool{"cus_acme": true, "cus_globex": true},
			NoKeys: window == "",
		}
		server := httptest.NewServer(fake)
		t.Cleanup(server.Close)
		all = append(all, &sink{
			"stripe" + window, stripemeter.New(stripemeter.Config{
				Key: stripeKey, Meter: meter, Overage: meter + "_overage", Customers: customers, URL: url("stripe"+window, server.URL), Now: clock(&fake.Faults),
			}), &fake.Faults, func(account string) int64 {
				return fake.Sum(meter, "cus_"+account) + 1_000_000*fake.Sum(meter+"_overage", "cus_"+account)
			},
		})
	}
	for _, preset := range []string{"hook", "openmeter"} {
		fake := &fakesinks.Receiver{Path: "/in", Secret: hookSecret}
		config := webhook.Config{Title: preset, Secrets: []string{hookSecret}, Batch: batch, Now: clock(&fake.Faults)}
		if preset == "openmeter" {
			fake.Secret, fake.Token, fake.Knows = "", "token", 32*24*time.Hour
			config.Secrets, config.Bearer, config.Remembers = nil, "token", 30*24*time.Hour
		}
		server := httptest.NewServer(fake)
		t.Cleanup(server.Close)
		config.URL = url(preset, server.URL) + "/in"
		service, err := webhook.New(config)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &sink{preset, service, &fake.Faults, func(account string) int64 {
			added := fake.Added(account)
			if latest, _, _ := fake.Latest(account); latest != added {
				return -1 // who keeps the latest and who adds up must have the same
			}
			return added
		}})
	}
	for _, s := range all {
		s.faults.Set(rigStart.AddDate(0, 0, 2))
	}
	return all
}

func same(_, at string) string { return at }

// rig is a line store in which something is used, hour after hour.
type rig struct {
	t      *testing.T
	path   string
	store  *usage.LineStore
	random *rand.Rand
	start  time.Time
	hour   int
	late   []usage.Sum
}

func newRig(t *testing.T, seed uint64) *rig {
	t.Helper()
	path := filepath.Join(t.TempDir(), "billing.db")
	store := usage.NewLineStore(path, "ledger")
	store.NoSync()
	return &rig{
		t: t, path: path, store: store, random: rand.New(rand.NewPCG(seed, 1)), start: rigStart,
	}
}

// pass lets an hour pass, in which two organizations use something: some of it becomes known hours later.
func (r *rig) pass() {
	r.t.Helper()
	start := r.start.Add(time.Duration(r.hour) * time.Hour)
	r.hour++
	sums := r.late
	r.late = nil
	for _, account := range []string{"acme", "globex"} {
		for _, function := range []string{"f", "g", "h"} {
			n := r.random.Int64N(60)
			s := usage.Sum{
				Key:     usage.Key{Organization: account, Period: "2026-11", Start: start, End: start.Add(time.Hour), Project: "p", Function: function, Region: "eu"},
				Sources: []usage.Source{{Instance: "one", First: uint64(r.hour), Invocations: n, Completed: n}},
			}
			sums = append(sums, s)
			if r.random.IntN(4) == 0 {
				s.Sources = []usage.Source{{Instance: "two", First: uint64(r.hour), Invocations: n / 2, Completed: n / 2}}
				r.late = append(r.late, s)
			}
		}
	}
	r.update(sums)
}

func (r *rig) update(sums []usage.Sum) {
	r.t.Helper()
	now := r.start.Add(time.Duration(r.hour) * time.Hour)
	_, err := r.store.Update(usage.UpdateInput{
		Now:      now,
		Sums:     sums,
		Price:    func(string) (usage.Price, bool) { return soldPrice, true },
		Complete: func(end time.Time) bool { return !end.After(now) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// billed is what a service should have counted of an account, as sink.has says it.
func (r *rig) billed(account string, overage bool) (n int64) {
	r.t.Helper()
	for l, err := range r.store.Lines(func(o, _ string) bool { return o == account }) {
		if err != nil {
			r.t.Fatal(err)
		}
		n += l.Quantity
		if overage {
			n += 1_000_000 * l.OverageQuantity
		}
	}
	return n
}

func (r *rig) outbox(s *sink) *usage.Outbox {
	return &usage.Outbox{Store: r.store, Pages: r.store.Pages(), Now: s.faults.Now}
}

// settled sees that a service has what is billed, and that nothing waits.
func (r *rig) settled(s *sink) {
	r.t.Helper()
	s.faults.Heal()
	for range 3 {
		if _, err := r.outbox(s).Run(r.t.Context(), s.service); err != nil {
			r.t.Fatalf("%s: %v", s.name, err)
		}
	}
	status, err := r.outbox(s).Status(r.t.Context(), s.service)
	if err != nil || status.Due != 0 || status.Unanswered != 0 || status.Rejected != 0 {
		r.t.Errorf("%s: %+v, %v", s.name, status, err)
	}
	for _, account := range []string{"acme", "globex"} {
		want := r.billed(account, s.name == "stripe" || s.name == "stripehour")
		if got := s.has(account); got != want {
			r.t.Errorf("%s counted %d of %s, billed is %d", s.name, got, account, want)
		}
	}
	err = r.outbox(s).Compare(r.t.Context(), s.service, func(string, string) bool { return true }, func(item *usage.Item, told int64, pending bool) {
		if told != item.Value || pending {
			r.t.Errorf("%s: %+v, told %d, pending %t", s.name, item, told, pending)
		}
	})
	if err != nil {
		r.t.Error(err)
	}
}

// A hundred schedules of faults, and what services counted is what the ledger has. Processes end and begin in the
// middle; days pass, so that services forget what they knew.
func TestFaultSchedules(t *testing.T) {
	t.Parallel()
	schedules := uint64(100)
	if testing.Short() {
		schedules = 10
	}
	for seed := range schedules {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, seed)
			sinks := servers(t, same, 7)
			for range 14 {
				r.pass()
				for _, s := range sinks {
					s.faults.Schedule(seed*31+uint64(r.hour), 0.35)
					s.faults.Set(r.start.Add(time.Duration(r.hour) * time.Hour))
					if r.random.IntN(3) > 0 {
						_, _ = r.outbox(s).Run(t.Context(), s.service) // it may fail, that is what it is for
					}
				}
			}
			r.update(r.late)
			for _, s := range sinks {
				s.faults.Set(r.start.Add(time.Duration(r.hour)*time.Hour + 30*time.Hour)) // beyond what Stripe remembers
				r.settled(s)
				if calls, failed := s.faults.Calls(); failed == 0 {
					t.Errorf("%s: none of %d calls failed", s.name, calls)
				}
			}
		})
	}
}

// What a service takes back after all is counted as rejected, and sent anew when somebody says so.
func TestRejections(t *testing.T) {
	r := newRig(t, 1)
	fake := &fakesinks.Stripe{Key: stripeKey, Window: "hour", Meters: []string{"edge"}, Customers: map[string]bool{"cus_acme": true}}
	server := httptest.NewServer(fake)
	defer server.Close()
	known := map[string]string{"acme": "cus_gone"}
	s := &sink{"stripe", stripemeter.New(stripemeter.Config{
		Key: stripeKey, Meter: "edge", Customers: func() map[string]string { return known }, URL: server.URL, Now: fake.Now,
	}), &fake.Faults, func(account string) int64 { return fake.Sum("edge", "cus_"+account) }}
	for range 5 {
		r.pass()
	}
	r.update(r.late)
	fake.Set(r.start.Add(6 * time.Hour))
	result, err := r.outbox(s).Run(t.Context(), s.service)
	if err != nil || result.Rejected != 5 || len(result.Held) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	status, err := r.outbox(s).Status(t.Context(), s.service)
	if err != nil || status.Rejected != 5 || len(status.Reasons) != 5 {
		t.Fatalf("%+v, %v", status, err)
	}
	if result, err = r.outbox(s).Run(t.Context(), s.service); err != nil || result.Rejected != 0 || result.Sent != 0 {
		t.Fatalf("once is enough: %+v, %v", result, err)
	}
	known["acme"] = "cus_acme"
	known["globex"] = "cus_globex"
	fake.Customers["cus_globex"] = true
	if n, err := r.outbox(s).RetryRejected(t.Context(), s.service); err != nil || n != 5 {
		t.Fatalf("%d, %v", n, err)
	}
	for range 3 {
		if _, err := r.outbox(s).Run(t.Context(), s.service); err != nil {
			t.Fatal(err)
		}
	}
	for account := range known {
		if got, want := s.has(account), r.billed(account, false); got != want {
			t.Errorf("%s: %d, billed %d", account, got, want)
		}
	}
}

// An event that an endpoint does not take keeps no other from arriving.
func TestPoison(t *testing.T) {
	r := newRig(t, 2)
	fake := &fakesinks.Receiver{Path: "/in", Poison: func(line map[string]any) bool { return line["function_id"] == "g" && line["account_id"] == "acme" }}
	server := httptest.NewServer(fake)
	defer server.Close()
	service, err := webhook.New(webhook.Config{Title: "hook", URL: server.URL + "/in", Now: fake.Now})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		r.pass()
	}
	s := &sink{service: service, faults: &fake.Faults}
	result, err := r.outbox(s).Run(t.Context(), service)
	if err != nil || result.Rejected == 0 || result.Sent == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	var missing int64
	for l, err := range r.store.Lines(func(o, _ string) bool { return o == "acme" }) {
		if err != nil {
			t.Fatal(err)
		}
		if l.FunctionID == "g" {
			missing += l.Quantity
		}
	}
	if got := fake.Added("acme"); got != r.billed("acme", false)-missing {
		t.Errorf("%d, want all but %d", got, missing)
	}
	if got := fake.Added("globex"); got != r.billed("globex", false) {
		t.Errorf("%d, want all", got)
	}
	fake.Poison = nil
	if _, err := r.outbox(s).RetryRejected(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	if _, err := r.outbox(s).Run(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	if got := fake.Added("acme"); got != r.billed("acme", false) {
		t.Errorf("%d, want all", got)
	}
}

// Who must not send sends nothing.
func TestTurn(t *testing.T) {
	r := newRig(t, 3)
	r.pass()
	fake := &fakesinks.Receiver{Path: "/in"}
	server := httptest.NewServer(fake)
	defer server.Close()
	service, err := webhook.New(webhook.Config{Title: "hook", URL: server.URL + "/in"})
	if err != nil {
		t.Fatal(err)
	}
	o := r.outbox(&sink{service: service, faults: &fake.Faults})
	o.CheckLeader = func(context.Context) error { return usage.ErrNotLeader }
	if _, err := o.Run(t.Context(), service); !errors.Is(err, usage.ErrNotLeader) {
		t.Errorf("%v", err)
	}
	if calls, _ := fake.Calls(); calls != 0 {
		t.Errorf("%d calls", calls)
	}
}

// A message that is held counts once in a round, however many batches the round sends.
func TestHeldCountsOnce(t *testing.T) {
	fake := &fakesinks.Stripe{Key: stripeKey, Window: "hour", Meters: []string{"edge", "edge_overage"}, Customers: map[string]bool{"cus_acme": true}}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	service := stripemeter.New(stripemeter.Config{
		Key:       stripeKey,
		Meter:     "edge",
		Overage:   "edge_overage",
		Customers: func() map[string]string { return map[string]string{"acme": "cus_acme"} },
		URL:       server.URL,
		Now:       fake.Now,
	})
	r := newRig(t, 1)
	for range 5 {
		r.pass()
	}
	fake.Set(rigStart.AddDate(0, 0, 2))
	outbox := r.outbox(&sink{faults: &fake.Faults})
	held := func() (sent, held int) {
		t.Helper()
		result, err := outbox.Run(t.Context(), service)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range result.Held {
			held += n
		}
		return result.Sent, held
	}
	sent, first := held()
	again, second := held()
	if sent == 0 || again != 0 || second == 0 || first != second {
		t.Errorf("a round that sends %d holds %d, the next one sends %d and holds %d", sent, first, again, second)
	}
}
