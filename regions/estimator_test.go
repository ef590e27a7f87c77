package regions

import (
	"testing"
	"time"
)

func TestEstimator(t *testing.T) {
	start := time.Unix(1_000_000_000, 0)
	var e Estimator
	if d := e.Distance(start); d != (Distance{}) {
		t.Errorf("before the first sample: %+v", d)
	}
	for _, step := range []struct {
		name  string
		after time.Duration // start
		rtt   time.Duration
		want  Distance
	}{
		{"the first", 0, 100 * ms, Distance{100 * ms, 100 * ms, 100 * ms, true}},
		{"a detour counts for half of three tenths", time.Second, 200 * ms, Distance{115 * ms, 100 * ms, 130 * ms, true}},
		{"a shorter way is the base at once", 2 * time.Second, 30 * ms, Distance{65 * ms, 30 * ms, 100 * ms, true}},
		{"for five minutes", 4*time.Minute + 30*time.Second, 100 * ms, Distance{65 * ms, 30 * ms, 100 * ms, true}},
		{"and then no more", 5*time.Minute + 31*time.Second, 100 * ms, Distance{100 * ms, 100 * ms, 100 * ms, true}},
	} {
		e.Observe(start.Add(step.after), step.rtt)
		if got := e.Distance(start.Add(step.after)); got != step.want {
			t.Errorf("%s: %+v, want %+v", step.name, got, step.want)
		}
	}
	if got := e.Distance(start.Add(time.Hour)); got.Base != 100*ms || got.RTT != 100*ms || !got.Measured {
		t.Errorf("an hour later: %+v", got)
	}
}
