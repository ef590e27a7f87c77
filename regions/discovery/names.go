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
	known    map[Target]*knownName // of the last call
}

type knownName struct {
	*addresses
	at time.Time // of the last look-up; zero if it or a part of it failed
}

// NewNames returns a Names that asks the resolver, nil for that of the system. Answers
// that are not older than maxAge are used again.
func NewNames(resolver *Resolver, maxAge time.Duration) *Names {
	return &Names{resolver: resolver, maxAge: maxAge}
}

// Lookup returns the addresses of the targets that have any, and of how many of them
// they are those of a recent answer. The error is that of one whose look-up failed, which
// has its last addresses or none; it does not mean that there is no result.
func (n *Names) Lookup(ctx context.Context, targets []Target) (found map[Target][]netip.Addr, recent int, failure error) {
	known := make(map[Target]*knownName, len(targets))
	for _, target := range targets {
		if known[target] = n.known[target]; known[target] == nil {
			known[target] = &knownName{addresses: newAddresses(n.resolver, target.Network, target.Name)}
		}
	}
	n.known = known
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards the results
	)
	found = make(map[Target][]netip.Addr, len(known))
	free := make(chan struct{}, lookedUpAtOnce)
	for target, name := range known {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			ips, now, err := name.current(ctx, n.maxAge)
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

// current returns the addresses of the name: those of the last answer if it is recent,
// or if there is no answer now. An error beside recent ones is that of one family.
func (k *knownName) current(ctx context.Context, maxAge time.Duration) (ips []netip.Addr, recent bool, err error) {
	if !k.at.IsZero() && time.Since(k.at) < maxAge {
		return k.last(), true, nil
	}
	found, err := k.lookup(ctx)
	k.at = time.Time{}
	switch {
	case err == nil:
		k.at = time.Now()
	case isNotFound(err):
		k.v4, k.v6 = nil, nil
	}
	return k.last(), len(found) > 0, err
}
