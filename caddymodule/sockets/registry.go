package sockets

import "sync"

const (
	reasonStopping = "server is stopping"
	reasonDrained  = "region is drained"
	reasonLeaving  = "backend is leaving"
)

// Registry knows the WebSockets of the process, including those whose handlers
// belong to configurations that are no longer in force (contract 6.6).
type Registry struct {
	mu      sync.Mutex // guards the fields below
	sockets map[*Socket]struct{}
	closing bool
	empty   *sync.Cond // sockets may come while CloseAll waits: no sync.WaitGroup
}

// NewRegistry returns a registry without WebSockets.
func NewRegistry() *Registry {
	g := &Registry{sockets: make(map[*Socket]struct{})}
	g.empty = sync.NewCond(&g.mu)
	return g
}

// Destruct implements caddy.Destructor. The sockets live on: they hold no
// resource of the registry.
func (*Registry) Destruct() error { return nil }

func (g *Registry) add(s *Socket) {
	g.mu.Lock()
	g.sockets[s] = struct{}{}
	closing := g.closing
	g.mu.Unlock()
	if closing {
		go s.GoAway(ServerClosed, reasonStopping)
	}
}

func (g *Registry) remove(s *Socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sockets, s)
	if len(g.sockets) == 0 {
		g.empty.Broadcast()
	}
}

// Len returns the number of open WebSockets.
func (g *Registry) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sockets)
}

// InRegion returns the number of open WebSockets whose function runs in a region.
func (g *Registry) InRegion(region string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for s := range g.sockets {
		if s.region == region {
			n++
		}
	}
	return n
}

// CloseShare sends Close 1001 to a share of the WebSockets of a region, from 0
// to 1. Called again with a larger share, it closes those that the difference
// adds: each socket has a random place in the drain.
func (g *Registry) CloseShare(region string, share float64) {
	g.closeShare(share, reasonDrained, func(s *Socket) bool { return s.region == region })
}

// CloseShareOf does the same with the WebSockets of one backend of a region.
func (g *Registry) CloseShareOf(region, backend string, share float64) {
	g.closeShare(share, reasonLeaving, func(s *Socket) bool { return s.region == region && s.backend == backend })
}

func (g *Registry) closeShare(share float64, reason string, of func(*Socket) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sockets {
		if s.drainAt <= share && of(s) {
			s.drainAt = 2 // once
			go s.GoAway(ServerClosed, reason)
		}
	}
}

// CloseAll sends Close 1001 to every client and returns when all sockets are
// closed, which takes 3 seconds at most. Sockets that are opened meanwhile are
// closed as well. It may be called more than once.
func (g *Registry) CloseAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.closing
	g.closing = true
	if first {
		for s := range g.sockets {
			go s.GoAway(ServerClosed, reasonStopping)
		}
	}
	for len(g.sockets) > 0 {
		g.empty.Wait()
	}
}
