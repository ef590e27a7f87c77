//go:build e2e

package usage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// redisOf is a Redis and a connection to it, until the test ends.
func redisOf(t *testing.T) (*redistest.Server, *redisconn.Conn) {
	t.Helper()
	server := redistest.Single(t)
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return server, conn
}

// A gateway that sends for one that is gone sends nothing again, and goes on where that one was; also in the middle of a batch.
func TestAnotherGatewaySends(t *testing.T) {
	_, conn := redisOf(t)
	one, two := newRig(t, 8), newRig(t, 8) // the same lines on both
	for _, s := range servers(t, same, 7) {
		outbox := func(r *rig) *usage.Outbox {
			o := r.outbox(s)
			o.Pages, o.Retention = usage.NewSharedPages(r.store, conn), 60*24*time.Hour
			return o
		}
		for round := range 6 {
			for _, r := range []*rig{one, two} {
				r.pass()
			}
			s.faults.Set(one.start.Add(time.Duration(one.hour) * time.Hour))
			s.faults.Schedule(uint64(round), 0.4)
			_, _ = outbox([]*rig{one, two}[round%2]).Run(t.Context(), s.service) // it may fail
		}
		s.faults.Heal()
		for _, r := range []*rig{one, two} {
			r.update(r.late)
			r.late = nil
		}
		for _, r := range []*rig{one, two, one} {
			if _, err := outbox(r).Run(t.Context(), s.service); err != nil {
				t.Fatal(err)
			}
			if _, err := outbox(r).Run(t.Context(), s.service); err != nil {
				t.Fatal(err)
			}
			for _, account := range []string{"acme", "globex"} {
				if got, want := s.has(account), r.billed(account, s.name == "stripe" || s.name == "stripehour"); got != want {
					t.Errorf("%s counted %d of %s, billed is %d", s.name, got, account, want)
				}
			}
		}
	}
}

// A Redis that is emptied takes what was told from nobody: who stood by has a copy.
func TestEmptiedRedis(t *testing.T) {
	server, conn := redisOf(t)
	one, two := newRig(t, 9), newRig(t, 9)
	for range 4 {
		one.pass()
		two.pass()
	}
	for _, s := range servers(t, same, 7) {
		s.faults.Set(one.start.Add(5 * time.Hour))
		run := func(r *rig) {
			o := r.outbox(s)
			o.Pages = usage.NewSharedPages(r.store, conn)
			if _, err := o.Run(t.Context(), s.service); err != nil {
				t.Fatal(err)
			}
		}
		run(one)
		if err := usage.NewSharedPages(two.store, conn).Follow(t.Context(), s.service.Name()); err != nil {
			t.Fatal(err)
		}
		server.Exec("FLUSHALL")
		before, _ := s.faults.Calls()
		run(two)
		if after, _ := s.faults.Calls(); after-before > 2 { // Stripe is asked for its meters and rejections
			t.Errorf("%s: %d calls for what it has", s.name, after-before)
		}
	}
}

// One gateway is the leader until it is not heard of for a while.
func TestLeader(t *testing.T) {
	server, conn := redisOf(t)
	for _, tt := range []struct {
		service, gateway string
		has              bool
	}{{"stripe", "one", true}, {"stripe", "two", false}, {"stripe", "one", true}, {"hook", "two", true}, {"hook", "one", false}} {
		err := usage.Lead(t.Context(), conn, tt.service, tt.gateway)
		if tt.has && err != nil || !tt.has && !errors.Is(err, usage.ErrNotLeader) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	// As if it had not been heard of for long.
	if err := conn.HashSet(t.Context(), "gw:exporters", "stripe", "one|1"); err != nil {
		t.Fatal(err)
	}
	if err := usage.Lead(t.Context(), conn, "stripe", "two"); err != nil {
		t.Errorf("%v", err)
	}
	if err := usage.Lead(t.Context(), conn, "stripe", "one"); !errors.Is(err, usage.ErrNotLeader) {
		t.Errorf("%v", err)
	}
	server.Stop()
	if err := usage.Lead(t.Context(), conn, "stripe", "two"); err == nil || errors.Is(err, usage.ErrNotLeader) {
		t.Errorf("without Redis nobody may send: %v", err)
	}
}

// The script and the hash of terms, with a Redis.
func TestSharedTermsInRedis(t *testing.T) {
	server, conn := redisOf(t)
	testSharedTerms(t, conn, func() { server.Exec("FLUSHALL") })
}
