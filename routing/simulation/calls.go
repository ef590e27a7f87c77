package simulation

import (
	"sort"
	"strconv"
	"time"

	"github.com/edgegate/edgegate/regions"
)

// call is a request on its way.
type call struct {
	number  int
	client  int
	gateway *gateway
	named   int // the region it names, or -1
	post    bool
	waited  bool // for room
	counted bool
	began   time.Duration
	oracle  time.Duration
	works   bool // some region did when it began

	plan      regions.Plan
	candidate int
	order     []*link // backends of the candidate, to be asked
	inRegion  bool    // a retry was made there
	inNext    bool    // or in the next region
	lost      time.Duration
	on        *link // the attempt's
	since     time.Duration
	fails     failure // what becomes of the attempt
}

// failure is the end of an attempt, as in package regions.
type failure uint8

const (
	passes    failure = iota
	neverSent         // refused
	sent              // it broke before an answer
	lost              // never answered
)

func (c *call) id() string { return strconv.Itoa(c.number) }

// arrive has a client send a request, and the next one follow.
func (w *world) arrive() {
	w.queue.push(w.now+time.Duration(w.random.ExpFloat64()/w.rate(w.now)*float64(time.Second)), kindArrival, 0)
	at := w.random.Float64() * w.clients[len(w.clients)-1].sum
	from := sort.Search(len(w.clients)-1, func(i int) bool { return w.clients[i].sum > at })
	gateway := 0
	if near := w.clients[from].gateways; w.happens(w.scenario.Misrouted) && len(near) > 1 {
		gateway = 1 + w.random.IntN(min(5, len(near)-1))
	}
	c := &call{
		number:  w.sent,
		client:  from,
		gateway: w.gateways[w.clients[from].gateways[gateway]],
		named:   -1,
		post:    w.happens(w.scenario.Post),
		began:   w.now,
		counted: w.now >= w.scenario.Warmup,
	}
	w.sent++
	if w.happens(w.scenario.Named) {
		c.named = w.random.IntN(len(w.set.All()))
	}
	c.oracle, c.works = w.oracle(c.gateway, c)
	if c.gateway.current == nil {
		w.look(c.gateway)
	}
	w.start(c)
}

// start decides where the request runs, and sends it.
func (w *world) start(c *call) {
	c.plan = w.decide(c.gateway, c)
	switch {
	case c.plan.Unavailable:
		w.fail(c)
	case c.plan.Full && c.waited:
		w.fail(c)
	case c.plan.Full:
		c.waited = true
		c.lost += roomWait
		w.queue.push(w.now+roomWait, kindDecide, w.keep(c))
	default:
		c.gateway.tries.add(w.now, 0)
		c.order = w.backends(c)
		w.send(c)
	}
}

// backends returns those of the candidate in the order to be asked: of two the
// one with fewer requests in flight, those that are down last.
func (w *world) backends(c *call) []*link {
	r := w.index[c.plan.Candidates[c.candidate].Region.Name]
	var order, down []*link
	for b := range w.scenario.Backends {
		if l := &c.gateway.links[r*w.scenario.Backends+b]; l.breaker.isOpen(w.now) || l.checks.State() == regions.StateDown {
			down = append(down, l)
		} else {
			order = append(order, l)
		}
	}
	if k := len(order); k > 1 {
		first := w.random.IntN(k)
		other := (first + 1 + w.random.IntN(k-1)) % k
		if order[other].inFlight < order[first].inFlight {
			first = other
		}
		order[0], order[first] = order[first], order[0]
	}
	return append(order, down...)
}

// send makes the next attempt that a breaker lets pass.
func (w *world) send(c *call) {
	for {
		for len(c.order) > 0 {
			l := c.order[0]
			c.order = c.order[1:]
			if l.breaker.admit(w.now) {
				w.attempt(c, l)
				return
			}
		}
		if c.candidate++; c.candidate >= len(c.plan.Candidates) {
			w.fail(c)
			return
		}
		c.order = w.backends(c)
	}
}

func (w *world) attempt(c *call, l *link) {
	now := w.at(w.now, l.region, l.backend)
	rtt := w.noisy(time.Duration(float64(c.gateway.base[l.region]) * now.slow))
	c.on, c.since, c.fails = l, w.now, passes
	takes := rtt + w.scenario.Service
	switch {
	case now.silent:
		c.fails, takes = lost, idleLimit
	case now.down || now.absent:
		c.fails, takes = neverSent, rtt
	case w.happens(now.reset):
		c.fails, takes = sent, rtt
	}
	l.inFlight++
	c.gateway.loads[l.region].Add(1)
	w.ran(c, l.region)
	if c.fails == lost {
		w.fail(c) // counted now: the run may end before the limit does
	}
	w.queue.push(w.now+takes, kindSent, w.keep(c))
}

// ended records the end of an attempt.
func (w *world) ended(c *call) {
	l, g := c.on, c.gateway
	l.inFlight--
	g.loads[l.region].Add(-1)
	if c.fails == lost {
		l.breaker.trying = max(0, l.breaker.trying-1) // nobody's fault
		return
	}
	now := w.at(w.now, l.region, l.backend)
	if c.fails == passes {
		switch {
		case now.down:
			c.fails = sent
		case now.silent:
			w.fail(c)
			return
		}
	}
	if l.breaker.report(w.now, c.fails == passes, w.random) {
		w.look(g)
	}
	if c.fails == passes {
		l.heard = true
		w.pass(c)
		return
	}
	c.lost += w.now - c.since
	w.again(c)
}

// again sends a failed request once more, where that may be.
func (w *world) again(c *call) {
	if c.fails == sent {
		if c.post || c.inNext {
			w.fail(c)
			return
		}
		if len(c.order) == 0 || c.inRegion {
			c.order, c.inNext = nil, true
		} else {
			c.inRegion = true
		}
		requests, retries := c.gateway.tries.sums(w.now)
		if float64(retries) >= retryShare*float64(requests)+retryTenth {
			w.fail(c)
			return
		}
		c.gateway.tries.add(w.now, 1)
	}
	w.send(c)
}

// keep gives a call a number for an event.
func (w *world) keep(c *call) int32 {
	if n := len(w.free); n > 0 {
		slot := w.free[n-1]
		w.free = w.free[:n-1]
		w.calls[slot] = c
		return slot
	}
	w.calls = append(w.calls, c)
	return int32(len(w.calls) - 1) // #nosec G115 -- as many as are under way
}

func (w *world) take(slot int32) *call {
	c := w.calls[slot]
	w.calls[slot] = nil
	w.free = append(w.free, slot)
	return c
}
