package gateway

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

// counter is a gateway as far as it counts.
type counter struct {
	t        *testing.T
	dir      string
	arrivals arrivals
	books    *books
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	dir := t.TempDir()
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return &counter{t: t, dir: dir, books: &books{ledger: ledger, slugs: xsync.NewMap[string, *slugs]()}}
}

// request is one that came in.
func (c *counter) request() *meter {
	m := &meter{desk: c.arrivals.enter(), books: c.books}
	m.call = &call{
		r:   &http.Request{},
		inv: routing.Invocation{Project: &projects.Project{Ref: "p"}, Function: &projects.Function{Slug: "f"}, Slug: "f"},
	}
	return m
}

// admitted is one that took its unit.
func (c *counter) admitted() *meter {
	m := c.request()
	m.taken, m.unit = true, quota.Unit{At: c.books.ledger.Now()}
	return m
}

func (c *counter) send(m *meter) {
	if err := m.Sending(&regions.Region{Name: "eu"}); err != nil {
		c.t.Error(err)
	}
}

// level is R5.
func (c *counter) level() reconcileLevel {
	r := &reconciliation{arrived: c.arrivals.now(c.books.ledger)}
	if _, err := c.books.ledger.Recount(r.count); err != nil {
		c.t.Error(err)
	}
	return r.arrived.level(r.recorded)
}

// METERING.md 3.13, R5: whatever becomes of requests, and whenever it is looked, they add up.
func TestArrivalsAddUp(t *testing.T) {
	c := newCounter(t)
	exits := []func(*counter){
		func(c *counter) { // a preflight
			m := c.request()
			m.became = wasPreflight
			m.finish()
		},
		func(c *counter) { // other OPTIONS
			m := c.request()
			m.became = wasOptions
			m.finish()
		},
		func(c *counter) { // refused
			m := c.request()
			m.refused()
			m.finish()
		},
		func(c *counter) { // a preflight of a function that answers it
			m := c.request()
			c.send(m)
			m.finish()
		},
		func(c *counter) { // an invocation, sent again
			m := c.admitted()
			c.send(m)
			c.send(m)
			m.finish()
		},
		func(c *counter) { // nothing could be sent, so it is refused
			m := c.admitted()
			c.send(m)
			m.Unsent()
			m.refused()
			m.finish()
		},
		func(c *counter) { // the client went away before it was sent
			m := c.admitted()
			c.send(m)
			m.Unsent()
			m.gone()
			m.finish()
		},
		func(c *counter) { // sent by the second attempt, and its client went away
			m := c.admitted()
			c.send(m)
			m.Unsent()
			c.send(m)
			m.gone()
			m.finish()
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
func TestArrivalsMissAWayOut(t *testing.T) {
	c := newCounter(t)
	m := c.request()
	if l := c.level(); l.Difference != 0 || l.Parts[7].Number != 1 {
		t.Errorf("under way: %+v", l)
	}
	m.finish()
	if l := c.level(); l.Difference != 1 || l.Expected != 1 || l.Found != 0 || l.First == "" {
		t.Errorf("a way out is missing: %+v", l)
	}
	c = newCounter(t)
	m = c.admitted()
	c.send(m)
	m.seq = 0 // it was lost
	m.finish()
	if l := c.level(); l.Difference != 1 {
		t.Errorf("a record is lost: %+v", l)
	}
	c = newCounter(t)
	m = c.admitted()
	c.send(m)
	if _, err := c.books.ledger.Begin(metering.Invocation{Subject: m.subject, Region: m.region, At: m.unit.At}); err != nil {
		t.Fatal(err)
	}
	if l := c.level(); l.Difference != 1 || l.Found != 2 {
		t.Errorf("a record too much: %+v", l)
	}
}

// What goes on without a record, since the disk is full and `meter_unavailable` is open, is known too, and fits when it is
// recorded.
func TestArrivalsRecordedLater(t *testing.T) {
	c := newCounter(t)
	const room = 1 << 14 // of the first segment
	inTheWay := filepath.Join(c.dir, "inst", c.books.ledger.Instance(), "wal", fmt.Sprintf("%020d.seg", room+1))
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	for range room {
		c.send(c.admitted())
	}
	pays := &projects.Organization{ID: "acme", Plan: &projects.Plan{Unmetered: true}}
	for i := range 5 {
		m := c.admitted()
		m.call.inv.Project.Organization = pays
		c.send(m)
		if m.later == "" {
			t.Fatal("there was room for a record")
		}
		if i == 0 {
			m.Unsent()
			m.gone()
		}
		m.finish()
	}
	if m := c.admitted(); m.Sending(&regions.Region{Name: "eu"}) == nil {
		t.Error("one without the option went on")
	} else {
		m.refused()
		m.finish()
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

// BEHAVIOUR 7.1: what an attempt has sent counts, also if the next one finds nobody.
func TestMeterCountsWhatWasSentBefore(t *testing.T) {
	c := newCounter(t)
	m := c.admitted()
	c.send(m)
	c.send(m)
	m.Unsent()
	if m.seq == 0 {
		t.Error("it was taken back")
	}
	m.refused()
	m.finish()
	all, err := c.books.ledger.Usage()
	if err != nil || len(all) != 2 || all[0].Invocations != 1 || all[0].Completed != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// BenchmarkArrivals is what counting adds to an invocation.
func BenchmarkArrivals(b *testing.B) {
	var a arrivals
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a.enter().leave(wasRefused)
		}
	})
}
