package regions

import (
	"testing"
	"testing/synctest"
	"time"
)

func newTestUpstream() *Upstream {
	return NewUpstream(Backend{Address: "http://h", Scheme: "http", Network: "tcp", DialAddress: "h:80", Host: "h"})
}

// A backend is down when its probes say so or its breaker is open, and up when
// it was heard of.
func TestUpstreamState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newTestUpstream()
		defer u.Close()
		told := 0
		tell := func() { told++ }
		u.changed.Store(&tell)
		start := time.Now()
		probe := func(passed bool) func() {
			return func() { u.checked(time.Now(), time.Now(), passed, 0) }
		}
		for _, step := range []struct {
			name  string
			do    func()
			state State
			since time.Duration // after start
		}{
			{"new", func() {}, StateUnknown, 0},
			{"an answer", u.answered, StateUp, time.Second},
			{"another", u.answered, StateUp, time.Second},
			{"a probe fails", probe(false), StateUp, time.Second},
			{"twice", probe(false), StateUp, time.Second},
			{"three times", probe(false), StateDown, 5 * time.Second},
			{"passes", probe(true), StateDown, 5 * time.Second},
			{"twice", probe(true), StateDown, 5 * time.Second},
			{"fails again", probe(false), StateDown, 5 * time.Second},
			{"passes", probe(true), StateDown, 5 * time.Second},
			{"twice", probe(true), StateDown, 5 * time.Second},
			{"three times", probe(true), StateUp, 11 * time.Second},
			{"the breaker opens", func() { hold(t, u) }, StateDown, 12 * time.Second},
			{"its time is not over", func() { time.Sleep(4 * time.Second) }, StateDown, 12 * time.Second},
			{"its time is over", func() { time.Sleep(2 * time.Second) }, StateUp, 20 * time.Second},
			{"it opens again, and probes fail", func() { hold(t, u); probe(false)(); probe(false)(); probe(false)() }, StateDown, 21 * time.Second},
			{"and pass", func() { probe(true)(); probe(true)(); probe(true)() }, StateUp, 22 * time.Second},
		} {
			step.do()
			got := u.View(time.Now())
			if since := got.Since.Sub(start); got.State != step.state || since != step.since {
				t.Errorf("%s: %s since %v, want %s since %v", step.name, got.State, since, step.state, step.since)
			}
			time.Sleep(time.Second)
		}
		if told < 4 {
			t.Errorf("told of %d changes", told)
		}
	})
}
