package regions

import (
	"testing"
	"time"
)

func TestDrain(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		name         string
		drain        Drain
		after        time.Duration
		gone, closed float64
		state        State
	}{
		{"none", Drain{}, time.Hour, 0, 0, ""},
		{"begins", Drain{Since: start, Over: 5 * time.Minute}, 0, 0, 0, StateDraining},
		{"before it begins", Drain{Since: start, Over: 5 * time.Minute}, -time.Second, 0, 0, StateDraining},
		{"half of the first minute", Drain{Since: start, Over: 5 * time.Minute}, 30 * time.Second, 0.5, 0.1, StateDraining},
		{"after the first minute", Drain{Since: start, Over: 5 * time.Minute}, 150 * time.Second, 1, 0.5, StateDraining},
		{"at the end", Drain{Since: start, Over: 5 * time.Minute}, 5 * time.Minute, 1, 1, StateDrained},
		{"a short one", Drain{Since: start, Over: 10 * time.Second}, 5 * time.Second, 0.5, 0.5, StateDraining},
		{"at once", Drain{Since: start}, 0, 1, 1, StateDrained},
		{"taken back", Drain{Since: start, Over: time.Minute, Ended: start.Add(time.Second)}, time.Hour, 0, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := start.Add(tc.after)
			if gone, closed, state := tc.drain.Gone(now), tc.drain.Closed(now), tc.drain.State(now); gone != tc.gone || closed != tc.closed || state != tc.state {
				t.Errorf("%v gone, %v closed, %q; want %v, %v, %q", gone, closed, state, tc.gone, tc.closed, tc.state)
			}
		})
	}
	for _, tc := range []struct {
		name string
		d    Drain
		want float64
	}{
		{"no order", Drain{}, 1},
		{"one that stands", Drain{Since: start, Over: time.Minute}, 1},
		{"within the ramp", Drain{Since: start, Over: 5 * time.Minute, Ended: start.Add(15 * time.Second)}, 0.75},
		{"after it", Drain{Since: start, Over: 5 * time.Minute, Ended: start.Add(2 * time.Minute)}, 0},
	} {
		if got := tc.d.Kept(); got != tc.want {
			t.Errorf("%s: %v kept, want %v", tc.name, got, tc.want)
		}
	}
	for over, ok := range map[time.Duration]bool{-1: false, 0: true, 24 * time.Hour: true, 25 * time.Hour: false} {
		if err := (Drain{Over: over}).Validate(); (err == nil) != ok {
			t.Errorf("over %v: %v", over, err)
		}
	}
}
