package billing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// eventually bounds what tests wait for.
const eventually = 20 * time.Second

// counter is an engine as far as it counts.
type counter struct{ *fixture }

func newCounter(t *testing.T) *counter {
	t.Helper()
	return &counter{newFixture(t)}
}

// request is one that came in.
func (c *counter) request() *Request {
	r := c.Receive()
	return &r
}

func (c *counter) send(r *Request) {
	if err := r.Send(&called); err != nil {
		c.t.Error(err)
	}
}

func (c *counter) unsent(r *Request) {
	if err := r.Unsent(); err != nil {
		c.t.Error(err)
	}
}

func (c *counter) refused(r *Request) { r.Refused(metering.Subject{Project: "p"}, 503) }

func (c *counter) finish(r *Request) {
	if err := r.Finish(metering.Ending{}); err != nil {
		c.t.Error(err)
	}
}

// level is R5.
func (c *counter) level() ReconcileLevel {
	r := &reconciliation{requests: c.requests.now(c.open.ledger)}
	if _, err := c.open.ledger.Recount(r.count); err != nil {
		c.t.Error(err)
	}
	return r.requests.level(r.recorded)
}

// Whatever becomes of requests, and whenever it is looked, they add up.
func TestRequestsAddUp(t *testing.T) {
	c := newCounter(t)
	exits := []func(*counter){
		func(c *counter) { // a preflight
			r := c.request()
			r.Answered(OutcomePreflight)
			c.finish(r)
		},
		func(c *counter) { // other OPTIONS
			r := c.request()
			r.Answered(OutcomeOptions)
			c.finish(r)
		},
		func(c *counter) { // refused
			r := c.request()
			c.refused(r)
			c.finish(r)
		},
		func(c *counter) { // a preflight of a function that answers it
			r := c.request()
			c.send(r)
			c.finish(r)
		},
		func(c *counter) { // an invocation, sent again
			r := c.admitted()
			c.send(r)
			c.send(r)
			c.finish(r)
		},
		func(c *counter) { // nothing could be sent, so it is refused
			r := c.admitted()
			c.send(r)
			c.unsent(r)
			c.refused(r)
			c.finish(r)
		},
		func(c *counter) { // the client went away before it was sent
			r := c.admitted()
			c.send(r)
			c.unsent(r)
			r.Gone()
			c.finish(r)
		},
		func(c *counter) { // sent by the second attempt, and its client went away
			r := c.admitted()
			c.send(r)
			c.unsent(r)
			c.send(r)
			r.Gone()
			c.finish(r)
		},
	}
	const rounds = 500
	var workers sync.WaitGroup
	var running atomic.Int64
	for range 4 {
		running.Add(1)
		workers.Go(func() {
			defer running.Add(-1)
			for i := range rounds * len(exits) {
				exits[i%len(exits)](c)
			}
		})
	}
	looked := 0
	for ; running.Load() > 0; looked++ {
		if l := c.level(); l.Difference != 0 || l.First != "" {
			t.Fatalf("%+v", l)
		}
	}
	workers.Wait()
	l := c.level()
	want := []int64{rounds * 4, rounds * 4, rounds * 8, rounds * 4, rounds * 4, rounds * 8, 0, 0}
	for i, part := range l.Parts {
		if part.Number != want[i] {
			t.Errorf("%+v, want %d", part, want[i])
		}
	}
	if l.Difference != 0 || l.Expected != rounds*4*int64(len(exits)) || l.Level != "R5" {
		t.Errorf("%+v", l)
	}
	t.Logf("looked %d times", looked)
}

// A way out of the handler that says nothing, a request that is sent without a record, and a record without a request: each
// is a difference.
func TestRequestsMissAWayOut(t *testing.T) {
	c := newCounter(t)
	r := c.request()
	if l := c.level(); l.Difference != 0 || l.Parts[7].Number != 1 {
		t.Errorf("under way: %+v", l)
	}
	c.finish(r)
	if l := c.level(); l.Difference != 1 || l.Expected != 1 || l.Found != 0 || l.First == "" {
		t.Errorf("a way out is missing: %+v", l)
	}
	c = newCounter(t)
	r = c.admitted()
	c.send(r)
	r.seq = 0 // it was lost
	c.finish(r)
	if l := c.level(); l.Difference != 1 {
		t.Errorf("a record is lost: %+v", l)
	}
	c = newCounter(t)
	r = c.admitted()
	c.send(r)
	if _, err := c.open.ledger.Begin(r.invocation()); err != nil {
		t.Fatal(err)
	}
	if l := c.level(); l.Difference != 1 || l.Found != 2 {
		t.Errorf("a record too much: %+v", l)
	}
}

// What goes on without a record, since the disk is full and `meter_unavailable` is open, is known too, and fits when it is
// recorded.
func TestRequestsRecordedLater(t *testing.T) {
	c := newCounter(t)
	const room = 1 << 14 // of the first segment
	inTheWay := filepath.Join(c.dir, "inst", c.open.ledger.Instance(), "wal", fmt.Sprintf("%020d.seg", room+1))
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	for range room {
		c.send(c.admitted())
	}
	open := called
	open.Open = true
	for i := range 5 {
		r := c.admitted()
		if err := r.Send(&open); err != nil {
			t.Error(err)
		}
		if r.deferred == nil {
			t.Fatal("there was room for a record")
		}
		if i == 0 {
			c.unsent(r)
			r.Gone()
		}
		c.finish(r)
	}
	if r := c.admitted(); r.Send(&called) == nil {
		t.Error("one without the option went on")
	} else {
		c.refused(r)
		c.finish(r)
	}
	if l := c.level(); l.Difference != 0 || l.Parts[2].Number != 1 || l.Parts[4].Number != 1 || l.Parts[5].Number != room || l.Parts[6].Number != 4 {
		t.Errorf("%+v", l)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	l := c.level()
	for end := time.Now().Add(eventually); l.Parts[6].Number > 0 && time.Now().Before(end); l = c.level() {
		if l.Difference != 0 {
			t.Fatalf("%+v", l)
		}
	}
	if l.Difference != 0 || l.Parts[5].Number != room+4 {
		t.Errorf("%+v", l)
	}
}

// Contract 7.1: what an attempt has sent counts, also if the next one finds nobody.
func TestMeterCountsWhatWasSentBefore(t *testing.T) {
	c := newCounter(t)
	r := c.admitted()
	c.send(r)
	c.send(r)
	c.unsent(r)
	if r.seq == 0 {
		t.Error("it was taken back")
	}
	c.refused(r)
	c.finish(r)
	all, err := c.open.ledger.Usage()
	if err != nil || len(all) != 2 || all[0].Invocations != 1 || all[0].Completed != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// BenchmarkRequests measures what counting adds to a refused request.
func BenchmarkRequests(b *testing.B) {
	var a requestCounts
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a.enter().leave(OutcomeRefused)
		}
	})
}

// A quota that is used up refuses, says for how long, and is no trouble; one that nobody can be asked for is.
func TestTake(t *testing.T) {
	f := newFixture(t)
	hard := quota.Allowance{Quota: 2, Hard: true}
	for left := int64(1); left >= 0; left-- {
		r := f.Receive()
		if err := r.Take(t.Context(), "acme", &hard); err != nil {
			t.Fatal(err)
		}
		if unit, ok := r.Unit(); !ok || unit.Remaining != left || unit.Limit != 2 {
			t.Errorf("%+v, %v", unit, ok)
		}
		if err := r.Send(&called); err != nil {
			t.Fatal(err)
		}
		if r.Record() == 0 || !r.Counts() {
			t.Error("it is no invocation")
		}
		if err := r.Finish(metering.Ending{}); err != nil {
			t.Error(err)
		}
	}
	r := f.Receive()
	if err := r.Take(t.Context(), "acme", &hard); !errors.Is(err, quota.ErrExhausted) {
		t.Error(err)
	}
	if _, ok := r.Unit(); ok {
		t.Error("there is a third unit")
	}
	if r.Restricted("acme", &hard) <= 0 || r.Restricted("acme", &soft) != 0 {
		t.Error("it is not known that it is used up")
	}
	if state, err := f.QuotaState(f.clock.now()); state != StateUp {
		t.Errorf("quotas are %s: %v", state, err)
	}
	r.Refused(called.Subject, 402)
	if err := r.Finish(metering.Ending{}); err != nil {
		t.Error(err)
	}
}

// While nobody can be asked for a unit, since the file of grants cannot be read, quotas count as down.
func TestTakeOfNobody(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "quotas.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := reopen(t, dir, &clock{began: time.Now()})
	r := f.Receive()
	if err := r.Take(t.Context(), "acme", &quota.Allowance{Quota: 2, Hard: true}); !errors.Is(err, quota.ErrUnavailable) {
		t.Error(err)
	}
	if state, err := f.QuotaState(f.clock.now()); state != StateDown || err == nil {
		t.Errorf("quotas are %s: %v", state, err)
	}
	r.Refused(called.Subject, 503)
	if err := r.Finish(metering.Ending{}); err != nil {
		t.Error(err)
	}
}

// A unit that was not used is given back.
func TestUnitIsGivenBack(t *testing.T) {
	f := newFixture(t)
	hard := quota.Allowance{Quota: 1, Hard: true}
	for range 3 {
		r := f.Receive()
		if err := r.Take(t.Context(), "acme", &hard); err != nil {
			t.Fatal(err)
		}
		r.Gone()
		if err := r.Finish(metering.Ending{}); err != nil {
			t.Error(err)
		}
	}
}
