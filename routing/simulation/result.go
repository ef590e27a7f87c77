package simulation

import (
	"slices"
	"time"
)

// noticeable is by how much a choice must be worse than the best to be counted
// as wrong.
const noticeable = 5 * time.Millisecond

// spikeWindow is over which time a region's share is looked at after an outage,
// and spikeLeast how many requests are needed for it to say anything.
const (
	spikeWindow = 10 * time.Second
	spikeLeast  = 400
)

// Result has the figures of a policy. Times are in milliseconds, parts 0 to 1. What
// happens in the warm-up is not in it.
type Result struct {
	Policy Policy `json:"policy"`
	// J is MeanExtra + P95Extra / 10, the figure of merit.
	J float64 `json:"j"`
	// MeanExtra and P95Extra are the times that answered automatic requests took
	// beyond the round trip of the best region that worked.
	MeanExtra float64 `json:"mean_extra_ms"`
	P95Extra  float64 `json:"p95_extra_ms"`
	// Wrong is the part of them that ran somewhere more than 5 ms farther.
	Wrong float64 `json:"wrong"`
	// Automatic are the requests that name no region, begun while one worked;
	// Failed ended without an answer.
	Automatic int `json:"automatic"`
	Failed    int `json:"failed"`
	// Named requests say where to run; NamedFailed ended without an answer,
	// Rerouted ran elsewhere.
	Named       int `json:"named"`
	NamedFailed int `json:"named_failed"`
	Rerouted    int `json:"rerouted"`
	// DetectMean and DetectMost are the times until the gateways took a
	// region for down that was; Missed counts those that did not.
	DetectMean float64 `json:"detect_mean_ms"`
	DetectMost float64 `json:"detect_most_ms"`
	Detected   int     `json:"detected"`
	Missed     int     `json:"missed"`
	// Flaps counts the changes of a gateway's nearest region.
	Flaps int `json:"flaps"`
	// Spike is the most requests that a region got in ten seconds after an
	// outage by its usual ones, 0 where they are too few to tell.
	Spike float64 `json:"spike"`
	// Extra are the extra times of all requests, sorted.
	Extra []time.Duration `json:"-"`
}

// tally counts.
type tally struct {
	Result
	windows [][]int // requests by region and window
	wrong   int
}

func (t *tally) begin(w *world) {
	t.Policy = w.policy
	t.windows = make([][]int, len(w.set.All()))
	for r := range t.windows {
		t.windows[r] = make([]int, w.scenario.Duration/spikeWindow+1)
	}
}

// ran counts an attempt in a region.
func (w *world) ran(c *call, r int) {
	if c.named < 0 {
		w.tally.windows[r][w.now/spikeWindow]++
	} else if c.named != r && c.counted {
		w.tally.Rerouted++
	}
}

func (w *world) pass(c *call) {
	switch {
	case !c.counted:
	case c.named >= 0:
		w.tally.Named++
	case c.works:
		w.tally.Automatic++
		now := w.now
		w.now = c.began // as it was when the oracle chose
		extra := c.lost + max(0, w.truth(c.gateway, c, c.on.region)-c.oracle)
		w.now = now
		w.tally.Extra = append(w.tally.Extra, extra)
		if extra > noticeable {
			w.tally.wrong++
		}
	}
}

func (w *world) fail(c *call) {
	switch {
	case !c.counted:
	case c.named >= 0:
		w.tally.Named++
		w.tally.NamedFailed++
	case c.works:
		w.tally.Automatic++
		w.tally.Failed++
	}
}

func (w *world) result() *Result {
	t := &w.tally
	slices.Sort(t.Extra)
	if n := len(t.Extra); n > 0 {
		var sum time.Duration
		for _, e := range t.Extra {
			sum += e
		}
		t.MeanExtra = milliseconds(sum) / float64(n)
		t.P95Extra = milliseconds(t.Extra[n*95/100])
		t.Wrong = float64(t.wrong) / float64(n)
	}
	t.J = t.MeanExtra + t.P95Extra/10
	var sum, most time.Duration
	for _, g := range w.gateways {
		t.Flaps += g.flaps
		for i, seen := range g.seen {
			switch {
			case !w.faults[i].total(w.scenario.Backends):
			case seen == 0:
				t.Missed++
			default:
				t.Detected++
				sum += seen
				most = max(most, seen)
			}
		}
	}
	if t.Detected > 0 {
		t.DetectMean, t.DetectMost = milliseconds(sum)/float64(t.Detected), milliseconds(most)
	}
	t.Spike = w.spike()
	return &t.Result
}

// spike looks at the two minutes after each outage, against all whole windows
// between the warm-up and the first fault.
func (w *world) spike() float64 {
	worst := 0.0
	for i := range w.faults {
		f := &w.faults[i]
		from, to := int((w.scenario.Warmup+spikeWindow-1)/spikeWindow), int(w.faults[0].from/spikeWindow)
		if !f.total(w.scenario.Backends) || to <= from {
			continue
		}
		usual := 0
		for _, n := range w.tally.windows[f.region][from:to] {
			usual += n
		}
		fair := float64(usual) / float64(to-from)
		if fair < spikeLeast {
			continue
		}
		last := min((f.to+2*time.Minute)/spikeWindow, w.scenario.Duration/spikeWindow)
		for at := (f.to + spikeWindow - 1) / spikeWindow; at < last; at++ {
			worst = max(worst, float64(w.tally.windows[f.region][at])/fair)
		}
	}
	return worst
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
