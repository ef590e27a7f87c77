package regions

import (
	"testing"
	"time"
)

// State changes only with a different verdict; a repeated refusal extends the
// time for which the backend is passed over (BEHAVIOUR 2.6).
func TestUpstreamState(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := start
	u := NewUpstream(Backend{Address: "http://h", Scheme: "http", Network: "tcp", DialAddress: "h:80", Host: "h"})
	u.now = func() time.Time { return now }
	if state, since := u.State(); state != StateUnknown || since.IsZero() || u.avoided() {
		t.Errorf("new: %s since %v, avoided %v", state, since, u.avoided())
	}
	yes, no := true, false
	for _, tc := range []struct {
		name    string
		after   time.Duration // since the step before
		verdict *bool         // nil: nothing happens but time
		state   State
		since   time.Duration // after start
		avoided bool
	}{
		{"accepts", 0, &yes, StateUp, 0, false},
		{"still accepts", time.Minute, &yes, StateUp, 0, false},
		{"refuses", time.Minute, &no, StateDown, 2 * time.Minute, true},
		{"just before it may be asked", avoidDown - 1, nil, StateDown, 2 * time.Minute, true},
		{"may be asked", 1, nil, StateDown, 2 * time.Minute, false},
		{"refuses again", 0, &no, StateDown, 2 * time.Minute, true},
		{"may be asked again", avoidDown, nil, StateDown, 2 * time.Minute, false},
		{"is back", time.Minute - 2*avoidDown, &yes, StateUp, 3 * time.Minute, false},
	} {
		now = now.Add(tc.after)
		if tc.verdict != nil {
			u.accepted(*tc.verdict)
		}
		state, since := u.State()
		if state != tc.state || !since.Equal(start.Add(tc.since)) || u.avoided() != tc.avoided {
			t.Errorf("%s: %s since %v, avoided %v; want %s since %v, %v",
				tc.name, state, since.Sub(start), u.avoided(), tc.state, tc.since, tc.avoided)
		}
	}
}

// Accepting is what happens all the time: it must cost nothing.
func TestAcceptedAllocates(t *testing.T) {
	u := NewUpstream(Backend{})
	u.accepted(true)
	if n := testing.AllocsPerRun(100, func() { u.accepted(true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
