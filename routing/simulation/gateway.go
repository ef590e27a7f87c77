package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

// What a gateway does; package regions does it on the wall's clock (docs/regions.md).
const (
	probeEvery   = 2 * time.Second
	probeTimeout = time.Second
	viewEvery    = 250 * time.Millisecond
	roomWait     = 100 * time.Millisecond
	idleLimit    = 150 * time.Second
	retryShare   = 0.2 // of the requests of ten seconds
	retryTenth   = 30  // in ten seconds, beside
)

// epoch is the time at which runs begin.
var epoch = time.Unix(1_800_000_000, 0).UTC()

// link is a gateway's state of one backend.
type link struct {
	gateway, region, backend int

	checks   regions.Checks
	distance regions.Estimator
	breaker  breaker
	heard    bool
	inFlight int
	// of the probe that is under way
	passed bool
	rtt    time.Duration
}

func (l *link) view(now time.Duration) regions.BackendView {
	state := l.checks.State()
	switch {
	case l.breaker.isOpen(now):
		state = regions.StateDown
	case state == regions.StateUnknown && l.heard:
		state = regions.StateUp
	}
	return regions.BackendView{State: state, Distance: l.distance.Distance(epoch.Add(now)), FailureRate: l.breaker.failureRate(now)}
}

// gateway is one of the fleet, with the decision's real parts.
type gateway struct {
	number int
	place  geo.Place
	base   []time.Duration // true round trips by region
	links  []link          // by region, then backend

	verdicts []regions.Verdict
	loads    []*capacity.Load
	ranker   regions.Ranker
	current  *regions.View
	first    string // the nearest region, whatever its health
	flaps    int
	seen     []time.Duration // by fault: when it was noticed, 0 for not yet
	tries    window          // requests, retries
}

func (w *world) newGateway(place geo.Place, random *rand.Rand) *gateway {
	all := w.set.All()
	g := &gateway{
		number:   len(w.gateways),
		place:    place,
		verdicts: make([]regions.Verdict, len(all)),
		seen:     make([]time.Duration, len(w.faults)),
	}
	for r, region := range all {
		rtt, _ := geo.Prior(place, region.Place())
		g.base = append(g.base, rtt)
		g.loads = append(g.loads, new(capacity.Load))
		for b := range w.scenario.Backends {
			g.links = append(g.links, link{gateway: g.number, region: r, backend: b})
			number := int32(g.number*len(all)*w.scenario.Backends + len(g.links) - 1) // #nosec G115 -- at most 64 x 64 x 16
			w.queue.push(time.Duration(random.Int64N(int64(probeEvery))), kindProbe, number)
		}
	}
	return g
}

// look makes the gateway's view anew, and notes what changed.
func (w *world) look(g *gateway) {
	at := epoch.Add(w.now)
	list := make([]regions.RegionView, 0, len(w.set.All()))
	for r, region := range w.set.All() {
		if w.at(w.now, r, 0).absent {
			continue
		}
		in := regions.RegionInput{
			Region:     region,
			Drain:      w.order(r),
			Load:       g.loads[r],
			Prior:      g.base[r],
			PriorKnown: true,
		}
		for b := range w.scenario.Backends {
			in.Backends = append(in.Backends, g.links[r*w.scenario.Backends+b].view(w.now))
		}
		list = append(list, g.verdicts[r].Judge(at, in))
	}
	g.current = g.ranker.NewView(at, list, regions.Location{Place: g.place, Source: regions.LocationConfigured})
	first := list[g.current.Order[0]].Region.Name
	if g.first != "" && first != g.first && w.now >= w.scenario.Warmup {
		g.flaps++
	}
	g.first = first
	w.notice(g)
}

// notice notes from when on the gateway takes a region that failed for down.
func (w *world) notice(g *gateway) {
	for i := range w.faults {
		f := &w.faults[i]
		if g.seen[i] > 0 || w.now < f.from || w.now >= f.to || !f.total(w.scenario.Backends) {
			continue
		}
		if r, ok := g.current.Lookup(w.set.All()[f.region].Name); ok && g.current.Regions[r].Health == regions.StateDown {
			g.seen[i] = max(1, w.now-f.from)
		}
	}
}

// total reports whether the fault takes the whole region away.
func (f *fault) total(backends int) bool {
	return (f.Kind == KindDown || f.Kind == KindBlackhole) && (f.Backends == 0 || f.Backends == backends)
}

// order is the operator's for region r.
func (w *world) order(r int) regions.Drain {
	var d regions.Drain
	for i := range w.faults {
		if f := &w.faults[i]; f.Kind == KindDrain && f.region == r && w.now >= f.from {
			d = regions.Drain{Since: epoch.Add(f.from), Over: f.Over}
			if w.now >= f.to {
				d.Ended = epoch.Add(f.to)
			}
		}
	}
	return d
}

// probe begins one, and the next.
func (w *world) probe(number int32) {
	l := w.link(number)
	w.queue.push(w.now+probeEvery*9/10+time.Duration(w.random.Int64N(int64(probeEvery/5))), kindProbe, number)
	c := w.at(w.now, l.region, l.backend)
	if c.absent {
		return
	}
	g := w.gateways[l.gateway]
	l.rtt = w.noisy(time.Duration(float64(g.base[l.region]) * c.slow))
	limit := probeTimeout + g.base[l.region]
	if d := l.distance.Distance(epoch.Add(w.now)); d.Measured {
		limit = probeTimeout + d.RTT
	}
	l.passed = !c.down && !c.silent && l.rtt <= limit && !w.happens(c.reset)
	after := l.rtt
	if c.silent {
		after = limit
	}
	w.queue.push(w.now+min(after, limit), kindProbed, number)
}

func (w *world) probed(number int32) {
	l := w.link(number)
	state, changed := l.checks.Report(l.passed)
	if changed && state == regions.StateUp {
		l.breaker.until = min(l.breaker.until, w.now) // three good probes know more
	}
	if l.passed {
		l.distance.Observe(epoch.Add(w.now), l.rtt)
	}
	if changed {
		w.look(w.gateways[l.gateway])
	}
}

func (w *world) link(number int32) *link {
	each := int32(len(w.gateways[0].links)) // #nosec G115 -- at most 64 x 16
	return &w.gateways[number/each].links[number%each]
}

func (w *world) noisy(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + w.scenario.Noise*(2*w.random.Float64()-1)))
}

func (w *world) happens(part float64) bool { return part > 0 && w.random.Float64() < part }
