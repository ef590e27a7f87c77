package regions

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
)

// members are the backends of one region in a Network: the fixed ones, those that its
// sources list, and those that left a list and still run calls. Network.mu guards all
// but the list.
type members struct {
	current map[string]*member // by Backend.Key
	order   []*member          // those of current that have not left: as configured, then by address
	version uint64             // of the lists in the RegionState; 0 before the first update
	proven  bool               // one of order has worked
	list    atomic.Pointer[memberList]
}

// member is one backend of a region.
type member struct {
	upstream *Upstream
	source   string    // the name of its source, "" for a fixed one
	group    int       // the index of its source in Region.Sources, -1 for a fixed one
	priority uint16    // as in discovery.Endpoint
	weight   float64   // relative to a fixed backend, which has 1
	left     time.Time // when it left the list of its source; zero while it is listed
	stopped  time.Time // when it served last after it left; zero while it is listed
}

// Phase is where a backend stands between its entry into a list and its end.
type Phase string

// The phases of backends. The others serve, and have none.
const (
	PhaseEntering Phase = "entering" // new: no probe passed yet, or it gets a growing part of its calls
	PhaseStandby  Phase = "standby"  // of a priority that is not in use
	PhaseLeaving  Phase = "leaving"  // not in the list any more: gets no new calls
)

func newMembers() *members {
	m := &members{current: make(map[string]*member)}
	m.list.Store(new(memberList))
	return m
}

// update brings the members of a region to what its sources list. n.mu is held, but
// for NewNetwork.
func (n *Network) update(now time.Time, r *Region) {
	m, state := n.members[r], n.states[r]
	if m.version != state.lists.current() {
		n.replace(now, r, state.lists.get(r.Sources))
	}
	for key, one := range m.current {
		if one.left.IsZero() {
			continue
		}
		one.upstream.Close() // connections whose calls have ended meanwhile
		mayServe := !m.proven && now.Sub(one.left) <= stayFor
		if !mayServe && now.Sub(one.stopped) > forgetAfter && one.upstream.inFlight() == 0 {
			state.lists.forget(key)
			delete(m.current, key)
			n.config.States.Release(r.Name, one.upstream.Backend)
		}
	}
}

// forgetAfter is how long a backend without calls is kept after it served: a call may
// have chosen it a moment before.
const forgetAfter = time.Second

// replace makes the members of a region anew. Backends that stay keep their state.
func (n *Network) replace(now time.Time, r *Region, lists currentLists) {
	m := n.members[r]
	m.version = lists.version
	before := m.current
	m.current = make(map[string]*member, len(before))
	m.order = m.order[:0]
	var fresh []*member
	take := func(b Backend) *member {
		key := b.Key()
		one := &member{group: -1, weight: 1}
		if old, ok := before[key]; ok {
			one.upstream = old.upstream
			delete(before, key)
		} else {
			one.upstream = n.config.States.Upstream(r.Name, b)
			fresh = append(fresh, one)
		}
		m.current[key] = one
		return one
	}
	seen := make(map[string]bool)
	for _, b := range r.Backends {
		seen[b.Key()] = true
		m.order = append(m.order, take(b))
	}
	for i, list := range lists.of {
		for _, e := range list {
			if seen[e.backend.Key()] {
				continue // listed by several sources, or fixed: the first counts
			}
			seen[e.backend.Key()] = true
			one := take(e.backend)
			one.source, one.group, one.priority, one.weight = r.Sources[i].Name, i, e.priority, e.weight
			m.order = append(m.order, one)
		}
	}
	for key, since := range lists.leaving {
		old, ok := before[key]
		switch {
		case m.current[key] != nil:
		case ok:
			old.left, old.stopped = since.at, since.stopped
			m.current[key] = old
			delete(before, key)
		default:
			one := take(since.backend)
			one.left, one.stopped = since.at, since.stopped
		}
	}
	// The rest was not listed by a source of this configuration, or is forgotten.
	for _, old := range before {
		n.config.States.Release(r.Name, old.upstream.Backend)
	}
	others := slices.ContainsFunc(m.order, func(one *member) bool { return one.upstream.isEstablished(now) })
	for _, one := range fresh {
		one.upstream.place(others)
		if n.running {
			n.adopt(r, one.upstream)
		}
	}
}

// judge makes the list of backends of a region from their state, and returns what a
// Verdict needs to know of them. n.mu is held, but for NewNetwork.
func (n *Network) judge(now time.Time, r *Region) RegionInput {
	m := n.members[r]
	views := slices.Grow(n.scratch[:0], len(m.order))[:len(m.order)]
	n.scratch = views
	proven := false
	for i, one := range m.order {
		views[i] = one.upstream.View(now)
		proven = proven || views[i].Proven
	}
	m.proven = proven
	var last []*member // that left, and serve for now
	if !proven {
		last = m.lastResort(now)
	}
	inUse := prioritiesInUse(len(r.Sources), m.order, views)
	from := make([]listed, len(m.order), len(m.order)+len(last))
	in := RegionInput{Backends: make([]BackendView, 0, len(m.order)), Sources: n.states[r].lists.views(r.Sources)}
	for i, one := range m.order {
		v := &views[i]
		v.Source, v.Weight = one.source, one.weight*v.Ramp
		counted := true
		switch {
		case one.group >= 0 && one.priority < inUse[one.group].priority:
			counted = false // down, and preferred to those that serve for it
		case one.group >= 0 && one.priority > inUse[one.group].priority:
			v.Phase, counted = PhaseStandby, false
		case one.group >= 0 && !v.Proven && (proven || len(last) > 0):
			v.Phase, counted = PhaseEntering, false
		case v.Ramp < 1:
			v.Phase = PhaseEntering
		}
		from[i] = listed{
			upstream: one.upstream,
			state:    v.State,
			weight:   v.Weight,
			counted:  counted,
			entering: v.Phase == PhaseEntering,
			own:      v.Own,
		}
	}
	for _, one := range last {
		one.stopped = now
		if n.running {
			n.states[r].lists.serves(one.upstream.key, now)
		}
		from = append(from, listed{
			upstream: one.upstream,
			state:    StateUp,
			weight:   1,
			counted:  true,
		})
	}
	serves := serving(from)
	m.list.Store(newMemberList(from))
	for i := range views {
		if !from[i].serves(serves) {
			views[i].Weight = 0
		}
		if from[i].counted {
			in.Backends = append(in.Backends, views[i])
		} else {
			in.Others = append(in.Others, views[i])
		}
	}
	for _, one := range m.current {
		if !one.left.IsZero() {
			v := one.upstream.View(now)
			v.Source, v.Phase, v.Left, v.Stopped = one.source, PhaseLeaving, one.left, one.stopped
			if slices.Contains(last, one) {
				v.Weight = 1
				in.Backends = append(in.Backends, v)
				continue
			}
			in.Others = append(in.Others, v)
		}
	}
	slices.SortStableFunc(in.Others, func(a, b BackendView) int {
		return cmp.Or(strings.Compare(string(a.Phase), string(b.Phase)), strings.Compare(a.Address, b.Address))
	})
	return in
}

// stayFor is how long backends that left serve on if none of the list has worked yet: a
// list may be replaced as a whole. Looking up took up to 8 s, and 15 s after a name left
// an address no call goes there.
const stayFor = 5 * time.Second

// lastResort returns the backends that left a moment ago and work, by address.
func (m *members) lastResort(now time.Time) (all []*member) {
	for _, one := range m.current {
		if !one.left.IsZero() && now.Sub(one.left) < stayFor && one.upstream.View(now).State == StateUp {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b *member) int { return strings.Compare(a.upstream.key, b.upstream.key) })
	return all
}

// usedPriority is the priority of a source that is in use.
type usedPriority struct {
	priority  uint16
	known, up bool // there is a backend of it, and one that is up
}

// prioritiesInUse returns the priority in use of each source: the lowest of which a
// backend is up, or the lowest if there is none.
func prioritiesInUse(sources int, order []*member, views []BackendView) []usedPriority {
	all := make([]usedPriority, sources)
	for i, one := range order {
		if one.group < 0 {
			continue
		}
		used, up := &all[one.group], views[i].State == StateUp
		if !used.known || up && !used.up || up == used.up && one.priority < used.priority {
			*used = usedPriority{one.priority, true, up}
		}
	}
	return all
}

// lookupSoon is the time to the next look-up of a source that gave no list yet. It
// doubles up to the source's interval.
const lookupSoon = 250 * time.Millisecond

// follow looks a source up until ctx is done.
func (n *Network) follow(ctx context.Context, r *Region, s *discovery.Source) {
	state := n.states[r]
	interval := max(cmp.Or(s.Interval, discovery.DefaultInterval), discovery.MinInterval)
	soon := lookupSoon
	wait := time.NewTimer(0)
	defer wait.Stop()
	if age, ok := state.lists.age(time.Now(), s); ok {
		wait.Reset(interval - age) // an earlier configuration looked it up
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		state.lists.remind(s)
		list, err := lookup(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if state.lists.took(time.Now(), r.Sources, s, list, err) {
			n.Refresh(time.Now()) // AwaitLists waits for this
		}
		n.Changed()
		next := interval*9/10 + rand.N(interval/5) // #nosec G404 -- spreads load, guards nothing
		if _, ok := state.lists.age(time.Now(), s); !ok {
			next = min(soon, interval)
			soon *= 2
		}
		wait.Reset(next)
	}
}

// lookup asks a source once. It returns a list, or the reason why there is none; an error
// beside a list says what the list is without.
func lookup(ctx context.Context, s *discovery.Source) ([]discovered, error) {
	ctx, cancel := context.WithTimeout(ctx, discovery.LookupTimeout)
	defer cancel()
	endpoints, err := s.Lookup(ctx)
	if len(endpoints) == 0 && err != nil {
		return nil, err
	}
	list, wrong := listOf(s, endpoints)
	return list, cmp.Or(err, wrong)
}

// listsPoll is how often AwaitLists looks for the lists.
const listsPoll = 5 * time.Millisecond

// AwaitLists returns as soon as each source of backends has given a list and the lists
// are in force, or when ctx is done. Run must run.
func (n *Network) AwaitLists(ctx context.Context) {
	defer n.ready.Store(true)
	tick := time.NewTicker(listsPoll)
	defer tick.Stop()
	for !n.listed() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Ready reports whether AwaitLists has returned, or needs not be called since all
// backends are fixed.
func (n *Network) Ready() bool { return n.ready.Load() }

// listed reports whether each source has given a list that is in force.
func (n *Network) listed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.Set.All() {
		lists := n.states[r].lists.get(r.Sources)
		for _, list := range lists.of {
			if len(list) == 0 || lists.version != n.members[r].version {
				return false
			}
		}
	}
	return true
}
