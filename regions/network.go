package regions

import (
	"context"
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions/geo"
)

// viewEvery is how often the view is made anew without a reported change: drains,
// slow starts and open breakers change with time alone.
const viewEvery = 250 * time.Millisecond

// viewRest is how many times as long as the making of a view was the next one waits:
// with thousands of backends of which some change all the time it must not take a
// whole processor.
const viewRest = 10

// StateStore keeps the state of backends and regions over configurations. It is
// safe for concurrent use.
type StateStore interface {
	// Upstream returns the state of a region's backend and takes a reference to it.
	// Only one is taken for a backend until Release.
	Upstream(region string, b Backend) *Upstream
	// Release gives the reference to a region's backend back. While calls run on a
	// backend without references, its state and that of the region must stay, to be found
	// by the next configuration that has it; see Upstream.WhenIdle.
	Release(region string, b Backend)
	// Region returns the state of a region.
	Region(name string) *RegionState
	// Ranker returns the gateway's order of regions.
	Ranker() *Ranker
}

// NetworkConfig configures a Network; Set and States are required.
type NetworkConfig struct {
	Set      *Set
	States   StateStore
	Location Location
}

// Network joins the configured regions with the state of their backends. Only its
// view and its lists of backends change; the state in it is shared with other
// configurations.
type Network struct {
	Set *Set

	config  NetworkConfig
	members map[*Region]*members
	states  map[*Region]*RegionState
	view    atomic.Pointer[View]
	changed chan struct{} // holds one
	ready   atomic.Bool   // AwaitLists has returned, or there is nothing to wait for
	budget  budget
	ranker  *Ranker

	scratch []BackendView // of judge

	mu       sync.Mutex             // held while the view and the lists are made
	running  bool                   // guarded by mu; Run runs, and the lists are followed
	security map[string]*tls.Config // guarded by mu; by region
	own      func(string) bool      // guarded by mu; see Apply
}

// NewNetwork joins the regions with their state. It opens nothing and
// changes nothing there.
func NewNetwork(config NetworkConfig) *Network {
	n := &Network{
		Set:     config.Set,
		config:  config,
		ranker:  config.States.Ranker(),
		changed: make(chan struct{}, 1),
		members: make(map[*Region]*members, len(config.Set.All())),
		states:  make(map[*Region]*RegionState, len(config.Set.All())),
	}
	if n.config.Location.Source == "" {
		n.config.Location.Source = LocationUnknown
	}
	now := time.Now()
	n.ready.Store(!slices.ContainsFunc(config.Set.All(), func(r *Region) bool { return len(r.Sources) > 0 }))
	for _, r := range config.Set.All() {
		n.states[r] = config.States.Region(r.Name)
		n.members[r] = newMembers()
		n.update(now, r)
		n.judge(now, r)
	}
	return n
}

// Upstreams returns the backends of r that have not left, in configuration order and
// by address. The slice must not be changed.
func (n *Network) Upstreams(r *Region) []*Upstream { return n.members[r].list.Load().listed }

// State returns the state of a region.
func (n *Network) State(r *Region) *RegionState { return n.states[r] }

// RetriesLeft returns how many calls may be sent again now, after they were sent once
// or waited long for a connection.
func (n *Network) RetriesLeft(now time.Time) int64 { return max(0, n.budget.left(now)) }

// View returns the current view, at most 250 ms old while the network runs.
func (n *Network) View() *View {
	if v := n.view.Load(); v != nil {
		return v
	}
	return n.Refresh(time.Now())
}

// Refresh makes the view and the lists of backends anew.
func (n *Network) Refresh(now time.Time) *View {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.Set.All()
	list := make([]RegionView, 0, len(all))
	for _, r := range all {
		if n.running {
			n.update(now, r)
		}
		state := n.states[r]
		in := n.judge(now, r)
		in.Region, in.Drain, in.Load = r, state.Drain(), &state.load
		in.Prior, in.PriorKnown = geo.Prior(n.config.Location.Place, r.Place())
		verdict := &state.verdict
		if !n.ready.Load() && len(n.Upstreams(r)) == 0 && len(r.Sources) > 0 {
			verdict = new(Verdict) // the first list is awaited: what is known stays as it is
		}
		list = append(list, verdict.Judge(now, in))
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

// Apply brings the settings of this configuration to the shared state. It must be called
// before Run. security has TLS configurations for backends by the name of their region;
// the others trust the system's authorities. own reports whether an address (HOST:PORT)
// is one that this process listens on: such a backend is never asked. It may be nil.
func (n *Network) Apply(security map[string]*tls.Config, own func(address string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.security, n.own = security, own
	for _, r := range n.Set.All() {
		n.states[r].load.Calls.SetCapacity(r.Capacity)
		n.states[r].load.Sockets.SetCapacity(r.Sockets())
		for _, u := range n.Upstreams(r) {
			n.adopt(r, u)
		}
	}
}

// setRunning begins and ends the following of lists. After the end the references to
// backends may be released.
func (n *Network) setRunning(running bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = running
}

// adopt brings the settings of this configuration to a backend. n.mu is held.
func (n *Network) adopt(r *Region, u *Upstream) {
	changed := n.Changed
	u.changed.Store(&changed)
	u.probed.Store(&n.states[r].probes)
	u.Secure(n.security[r.Name])
	u.listensHere.Store(n.own != nil && n.own(u.Backend.DialAddress))
}

// Run looks the lists of backends up, probes the backends, and keeps the view up to
// date until ctx is done.
func (n *Network) Run(ctx context.Context) {
	n.setRunning(true)
	defer n.setRunning(false)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, r := range n.Set.All() {
		for i := range r.Sources {
			wg.Go(func() { n.follow(ctx, r, &r.Sources[i]) })
		}
	}
	probes := make(map[*Upstream]context.CancelFunc)
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		began := time.Now()
		n.Refresh(began)
		n.probeMembers(ctx, &wg, probes)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(viewRest*time.Since(began), viewEvery)):
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.changed:
		}
	}
}

// probeMembers starts the probes of new backends, and ends those of backends that
// left.
func (n *Network) probeMembers(ctx context.Context, wg *sync.WaitGroup, probes map[*Upstream]context.CancelFunc) {
	listed := make(map[*Upstream]bool, len(probes))
	for _, r := range n.Set.All() {
		prior, _ := geo.Prior(n.config.Location.Place, r.Place())
		for _, u := range n.Upstreams(r) {
			listed[u] = true
			if probes[u] != nil {
				continue
			}
			probing, cancel := context.WithCancel(ctx)
			probes[u] = cancel
			wg.Go(func() { u.probe(probing, r, prior) })
		}
	}
	for u, cancel := range probes {
		if !listed[u] {
			cancel()
			delete(probes, u)
		}
	}
}
