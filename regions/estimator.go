package regions

import "time"

const (
	// fastWeight is the weight of a new sample in the moving average.
	fastWeight = 0.3
	// baseWindow is the time over which the lowest sample is kept, in steps of
	// baseStep.
	baseWindow = 5 * time.Minute
	baseStep   = 30 * time.Second
	baseSteps  = int64(baseWindow / baseStep)
)

// Distance is the round trip to a backend or a region.
type Distance struct {
	// RTT is the value for decisions: Base plus half of Fast's excess over it. A
	// lasting detour thus counts half at once, and in full once it is the base.
	RTT time.Duration
	// Base is the lowest sample of the last five minutes.
	Base time.Duration
	// Fast is a moving average of the samples, each new one weighing 0.3.
	Fast time.Duration
	// Measured is true once there was a sample. Without one RTT is a prior, or
	// zero where none is known, and Base and Fast are zero.
	Measured bool
}

// Estimator turns samples of a round trip into a Distance. The zero value has
// no sample. It is not safe for concurrent use.
type Estimator struct {
	fast  time.Duration
	lows  [baseSteps]low
	known bool
}

// low is the lowest sample of one step of time.
type low struct {
	step int64
	rtt  time.Duration
}

// Observe records one sample. now must not be before that of the last one.
func (e *Estimator) Observe(now time.Time, rtt time.Duration) {
	if !e.known {
		e.fast, e.known = rtt, true
	} else {
		e.fast += time.Duration(fastWeight * float64(rtt-e.fast))
	}
	step := stepOf(now)
	l := &e.lows[step%baseSteps]
	if l.step != step || l.rtt == 0 || rtt < l.rtt {
		*l = low{step, max(rtt, 1)}
	}
}

// Distance returns the estimate. Where all samples are older than five minutes,
// Base is Fast.
func (e *Estimator) Distance(now time.Time) Distance {
	if !e.known {
		return Distance{}
	}
	base, oldest := e.fast, stepOf(now)-baseSteps
	found := false
	for _, l := range e.lows {
		if l.rtt > 0 && l.step > oldest && (!found || l.rtt < base) {
			base, found = l.rtt, true
		}
	}
	return Distance{
		RTT:      base + max(0, e.fast-base)/2,
		Base:     base,
		Fast:     e.fast,
		Measured: true,
	}
}

func stepOf(t time.Time) int64 { return t.UnixNano() / int64(baseStep) }
