package simulation

import "time"

// fault is an Event at one region.
type fault struct {
	Event
	region   int
	from, to time.Duration
}

// expand turns events into faults, one for each region that an event hits.
func (w *world) expand() {
	for _, e := range w.scenario.Events {
		if e.Kind == KindLoad {
			w.loads = append(w.loads, e)
			continue
		}
		at := e.At
		for i, r := range w.set.All() {
			if e.Region != eachRegion && e.Region != r.Name {
				continue
			}
			w.faults = append(w.faults, fault{
				Event:  e,
				region: i,
				from:   at,
				to:     at + e.For,
			})
			at += e.Every
		}
	}
}

// condition is the state of a backend at a moment.
type condition struct {
	down, silent, absent bool
	slow                 float64 // factor of round trips
	reset                float64 // part of the requests
}

// at returns how backend b of region r is now.
func (w *world) at(now time.Duration, r, b int) condition {
	c := condition{slow: 1}
	for i := range w.faults {
		f := &w.faults[i]
		if f.region != r || now < f.from || now >= f.to || f.Backends > 0 && b >= f.Backends {
			continue
		}
		switch f.Kind {
		case KindDown:
			c.down = true
		case KindFlap:
			c.down = c.down || (now-f.from)/f.Period%2 == 0
		case KindBlackhole:
			c.silent = true
		case KindSlow:
			c.slow *= f.Factor
		case KindReset:
			c.reset = max(c.reset, f.Percent/100)
		case KindAbsent:
			c.absent = true
		case KindDrain, KindLoad:
		}
	}
	return c
}

// best returns how region r is at best: that of its backends that is nearest of
// those that work. It is false if none does.
func (w *world) best(now time.Duration, r int) (slow float64, ok bool) {
	for b := range w.scenario.Backends {
		if c := w.at(now, r, b); !c.down && !c.silent && !c.absent && (!ok || c.slow < slow) {
			slow, ok = c.slow, true
		}
	}
	return slow, ok
}

// drained reports whether the operator has a region's requests leave.
func (w *world) drained(now time.Duration, r int) bool {
	for i := range w.faults {
		if f := &w.faults[i]; f.Kind == KindDrain && f.region == r && now >= f.from && now < f.to {
			return true
		}
	}
	return false
}

// rate is the number of requests that clients send per second.
func (w *world) rate(now time.Duration) float64 {
	rate := w.scenario.Rate
	for i := range w.loads {
		if e := &w.loads[i]; now >= e.At && now < e.At+e.For {
			rate *= e.Factor
		}
	}
	return rate
}
