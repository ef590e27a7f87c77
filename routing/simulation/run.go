package simulation

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/plan"
)

// world is a run: clients, gateways, regions and the clock.
type world struct {
	scenario *Scenario
	policy   Policy
	planner  *plan.Planner
	random   *rand.Rand
	now      time.Duration
	queue    queue
	set      *regions.Set
	index    map[string]int // of regions
	gateways []*gateway
	clients  []client
	faults   []fault
	loads    []Event
	sent     int
	calls    []*call
	free     []int32
	tally    tally
}

// RunAll plays a scenario for every policy, in the order of [Policies].
func RunAll(s *Scenario, cities []City) ([]*Result, error) {
	results, errs := make([]*Result, len(Policies)), make([]error, len(Policies))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, policy := range Policies {
		slots <- struct{}{}
		wg.Go(func() {
			results[i], errs[i] = Run(s, cities, policy)
			<-slots
		})
	}
	wg.Wait()
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	return results, nil
}

// Run plays a scenario for one policy, by the round trips of cities. The same
// arguments give the same result.
func Run(s *Scenario, cities []City, policy Policy) (*Result, error) {
	w := &world{
		scenario: s,
		policy:   policy,
		planner:  plan.New(plan.Policy{Mode: s.Nearest}),
		index:    make(map[string]int),
		random:   rand.New(rand.NewPCG(1, 2)), //nolint:gosec // a run is the same each time
	}
	list := make([]regions.Region, 0, len(s.Regions))
	for i, name := range s.Regions {
		r := regions.Region{Name: name}
		for b := range s.Backends {
			backend, err := regions.ParseBackend(fmt.Sprintf("http://10.%d.0.%d:9000", i, b+1))
			if err != nil {
				return nil, err
			}
			r.Backends = append(r.Backends, backend)
		}
		list = append(list, r)
		w.index[name] = i
	}
	var err error
	if w.set, err = regions.NewSet(list); err != nil {
		return nil, err
	}
	w.expand()
	places := s.Gateways
	if len(places) == 0 {
		places = s.Regions
	}
	for _, name := range places {
		place, err := gatewayPlace(name)
		if err != nil {
			return nil, err
		}
		w.gateways = append(w.gateways, w.newGateway(place, w.random))
	}
	if err := w.newClients(cities); err != nil {
		return nil, err
	}
	w.capacities()
	w.tally.begin(w)
	w.queue.push(0, kindView, 0)
	w.queue.push(0, kindArrival, 0)
	for {
		e := w.queue.pop()
		if e.at >= s.Duration {
			return w.result(), nil
		}
		w.now = e.at
		w.happen(e)
	}
}

func (w *world) happen(e event) {
	switch e.kind {
	case kindArrival:
		w.arrive()
	case kindProbe:
		w.probe(e.argument)
	case kindProbed:
		w.probed(e.argument)
	case kindView:
		for _, g := range w.gateways {
			w.look(g)
		}
		w.queue.push(w.now+viewEvery, kindView, 0)
	case kindDecide:
		w.start(w.take(e.argument))
	case kindSent:
		w.ended(w.take(e.argument))
	}
}

// capacities are the scenario's headroom times what usually runs in a region:
// the requests of those clients whose gateway is nearest to it.
func (w *world) capacities() {
	if w.scenario.Headroom == 0 {
		return
	}
	usual := make([]float64, len(w.set.All()))
	total := w.clients[len(w.clients)-1].sum
	before := 0.0
	for i := range w.clients {
		g := w.gateways[w.clients[i].gateways[0]]
		best := 0
		for r := range g.base {
			if g.base[r] < g.base[best] {
				best = r
			}
		}
		part := (w.clients[i].sum - before) / total
		before = w.clients[i].sum
		usual[best] += part * w.scenario.Rate * (w.scenario.Service + g.base[best]).Seconds()
	}
	for _, g := range w.gateways {
		for r := range usual {
			g.loads[r].SetCapacity(max(1, int64(w.scenario.Headroom*usual[r])))
		}
	}
}
