package discovery

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// lookedUpAtOnce is how many names are looked up at the same time.
const lookedUpAtOnce = 16

// Target is a name to look up. The network is ip4 for A records only, ip6 for AAAA
// records only, and ip or empty for both.
type Target struct{ Network, Name string }

// Names looks many names up at once, again and again. While the look-up of a name
// fails, its addresses stay as they were last. Names is not safe for concurrent use.
type Names struct {
	resolver *Resolver
	maxAge   time.Duration
	memory   *Memory
}

// NewNames returns a Names that asks the resolver, nil for that of the system. Answers
// that are not older than maxAge are used again.
func NewNames(resolver *Resolver, maxAge time.Duration) *Names {
	return &Names{resolver: resolver, maxAge: maxAge, memory: newMemory()}
}

// Memory returns the last addresses of the names, for Source.Memory.
func (n *Names) Memory() *Memory { return n.memory }

// Lookup returns the addresses of the targets that have any, and of how many of them
// they are those of a recent answer. The error is that of one whose look-up failed, which
// has its last addresses or none; it does not mean that there is no result.
func (n *Names) Lookup(ctx context.Context, targets []Target) (found map[Target][]netip.Addr, recent int, failure error) {
	wanted := make(map[Target]bool, len(targets))
	for _, target := range targets {
		wanted[target] = true
	}
	n.memory.keep(wanted)
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards the results
	)
	found = make(map[Target][]netip.Addr, len(wanted))
	free := make(chan struct{}, lookedUpAtOnce)
	for target := range wanted {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			ips, now, err := n.current(ctx, target)
			mu.Lock()
			defer mu.Unlock()
			if len(ips) > 0 {
				found[target] = ips
			}
			if now {
				recent++
			}
			if failure == nil {
				failure = err
			}
		})
	}
	wg.Wait()
	return found, recent, failure
}

// current returns the addresses of a target: those of the last answer if it is recent,
// or if there is no answer now. An error beside recent ones is that of one family.
func (n *Names) current(ctx context.Context, target Target) (ips []netip.Addr, recent bool, err error) {
	last := n.memory.get(target)
	if !last.at.IsZero() && time.Since(last.at) < n.maxAge {
		return last.all(), true, nil
	}
	found, err := newAddresses(n.resolver, n.memory, target).lookup(ctx)
	if len(found) > 0 {
		return found, true, err
	}
	if isNotFound(err) {
		last = answer{}
	}
	last.at = time.Time{}
	n.memory.set(target, last)
	return last.all(), false, err
}
