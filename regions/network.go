package regions

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

// viewEvery is how often the view is made anew without a reported change: drains,
// slow starts and open breakers change with time alone.
const viewEvery = 250 * time.Millisecond

// StateStore keeps the state of backends and regions over configurations. It is
// safe for concurrent use.
type StateStore interface {
	// Upstream returns the state of a region's backend.
	Upstream(region string, b Backend) *Upstream
	// Region returns the state of a region.
	Region(name string) *RegionState
	// Ranker returns the gateway's order of regions.
	Ranker() *Ranker
}

// RegionState is the state of a region that outlives configurations: its health,
// its load and its drain. The zero value is a region of which nothing is known
// yet. It is safe for concurrent use.
type RegionState struct {
	verdict Verdict
	load    capacity.Load
	drain   atomic.Pointer[Drain]
}

// Drain returns the operator's order.
func (s *RegionState) Drain() Drain {
	if d := s.drain.Load(); d != nil {
		return *d
	}
	return Drain{}
}

// SetDrain replaces the operator's order.
func (s *RegionState) SetDrain(d Drain) { s.drain.Store(&d) }

// NetworkConfig configures a Network; Set and States are required.
type NetworkConfig struct {
	Set      *Set
	States   StateStore
	Location Location
}

// Network joins the configured regions with the state of their backends. Only its
// view changes; the state in it is shared with other configurations.
type Network struct {
	Set *Set

	config    NetworkConfig
	upstreams map[*Region][]*Upstream
	states    map[*Region]*RegionState
	view      atomic.Pointer[View]
	changed   chan struct{} // holds one
	budget    budget
	ranker    *Ranker

	mu sync.Mutex // held while the view is made
}

// NewNetwork joins the regions with their state. It opens nothing and
// changes nothing there.
func NewNetwork(config NetworkConfig) *Network {
	n := &Network{
		Set:       config.Set,
		config:    config,
		ranker:    config.States.Ranker(),
		changed:   make(chan struct{}, 1),
		upstreams: make(map[*Region][]*Upstream, len(config.Set.All())),
		states:    make(map[*Region]*RegionState, len(config.Set.All())),
	}
	if n.config.Location.Source == "" {
		n.config.Location.Source = LocationUnknown
	}
	for _, r := range config.Set.All() {
		n.states[r] = config.States.Region(r.Name)
		for _, b := range r.Backends {
			n.upstreams[r] = append(n.upstreams[r], config.States.Upstream(r.Name, b))
		}
	}
	return n
}

// Upstreams returns the backends of r in configuration order. The slice must
// not be changed.
func (n *Network) Upstreams(r *Region) []*Upstream { return n.upstreams[r] }

// State returns the state of a region.
func (n *Network) State(r *Region) *RegionState { return n.states[r] }

// View returns the current view, at most 250 ms old while the network runs.
func (n *Network) View() *View {
	if v := n.view.Load(); v != nil {
		return v
	}
	return n.Refresh(time.Now())
}

// Refresh makes the view anew.
func (n *Network) Refresh(now time.Time) *View {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.Set.All()
	list := make([]RegionView, 0, len(all))
	for _, r := range all {
		state := n.states[r]
		in := RegionInput{Region: r, Drain: state.Drain(), Load: &state.load}
		for _, u := range n.upstreams[r] {
			in.Backends = append(in.Backends, u.View(now))
		}
		in.Prior, in.PriorKnown = geo.Prior(n.config.Location.Place, r.Place())
		list = append(list, state.verdict.Judge(now, in))
	}
	v := n.ranker.NewView(now, list, n.config.Location)
	n.view.Store(v)
	return v
}

// Changed has Run make a new view soon. It does not block.
func (n *Network) Changed() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// apply brings the settings of this configuration to the shared state.
func (n *Network) apply(security map[string]*tls.Config) {
	changed := n.Changed
	for _, r := range n.Set.All() {
		n.states[r].load.Calls.SetCapacity(r.Capacity)
		n.states[r].load.Sockets.SetCapacity(r.Sockets())
		for _, u := range n.upstreams[r] {
			u.changed.Store(&changed)
			u.Secure(security[r.Name])
		}
	}
}

// Run probes the backends and keeps the view up to date until ctx is done.
// security has TLS configurations for backends by the name of their region; the
// others trust the system's authorities.
func (n *Network) Run(ctx context.Context, security map[string]*tls.Config) {
	n.apply(security)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, r := range n.Set.All() {
		prior, _ := geo.Prior(n.config.Location.Place, r.Place())
		for _, u := range n.upstreams[r] {
			wg.Go(func() { u.probe(ctx, r, prior) })
		}
	}
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		n.Refresh(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.changed:
		}
	}
}
