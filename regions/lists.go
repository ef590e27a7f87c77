package regions

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/discovery"
)

// RegionState is the state of a region that outlives configurations: its health,
// its load, its drain, and the last lists of its backends. The zero value is a region
// of which nothing is known yet. It is safe for concurrent use.
type RegionState struct {
	verdict Verdict
	load    capacity.Load
	drain   atomic.Pointer[Drain]
	lists   sourceLists
	probes  probeCounts
}

// probeCounts are numbers of probes.
type probeCounts struct{ passed, failed atomic.Uint64 }

// Probes returns how many probes of the region's backends passed and failed.
func (s *RegionState) Probes() (passed, failed uint64) {
	return s.probes.passed.Load(), s.probes.failed.Load()
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

// sourceLists are the last good lists of the sources of a region. The zero value has
// none.
type sourceLists struct {
	mu       sync.Mutex // guards the fields below
	version  uint64     // counts changes
	bySource map[string]*sourceList
	leaving  map[string]departure // by Backend.Key
}

// sourceList is what a source of backends said.
type sourceList struct {
	backends []discovered // by address; the last list that was not empty
	at       time.Time    // of the last look-up that gave a list
	failing  time.Time    // of the first failed look-up after that; zero while they succeed
	tried    time.Time    // of the last look-up
	err      error        // of the last look-up: why it gave no list, or what its list is without
	memory   *discovery.Memory
}

// discovered is a backend in a list.
type discovered struct {
	backend  Backend
	priority uint16
	weight   float64 // relative to a fixed backend, which has 1
}

// departure is a backend that left the lists.
type departure struct {
	backend Backend
	at      time.Time
	stopped time.Time // when it served last: at, or later
}

// sourceKey identifies a source over configurations.
func sourceKey(s *discovery.Source) string { return s.Scheme + " " + s.Name }

// errNoBackends is the outcome of a look-up that found none.
var errNoBackends = errors.New("the source lists no backends")

// listOf turns what a source found into a list. Endpoints that are none are left
// out, and the error is that of one of them. It does not mean that there is no list.
func listOf(s *discovery.Source, endpoints []discovery.Endpoint) ([]discovered, error) {
	var wrong error
	list := make([]discovered, 0, len(endpoints))
	for _, e := range endpoints {
		b, err := endpointBackend(s.Scheme, e)
		if err != nil {
			wrong = err
			continue
		}
		list = append(list, discovered{backend: b, priority: e.Priority, weight: float64(e.Weight)})
	}
	if len(list) == 0 {
		if wrong == nil {
			wrong = errNoBackends
		}
		return nil, wrong
	}
	slices.SortFunc(list, func(a, b discovered) int { return strings.Compare(a.backend.Key(), b.backend.Key()) })
	list = slices.CompactFunc(list, func(a, b discovered) bool { return a.backend.Key() == b.backend.Key() })
	if len(list) > discovery.MaxEndpoints {
		wrong = fmt.Errorf("of %d backends the first %d are used", len(list), discovery.MaxEndpoints)
		list = list[:discovery.MaxEndpoints]
	}
	normalize(list)
	return list, wrong
}

// endpointBackend returns the backend of an endpoint.
func endpointBackend(scheme string, e discovery.Endpoint) (Backend, error) {
	if strings.HasPrefix(e.Address, "/") {
		if scheme == "h2c" {
			return ParseBackend("unix+h2c/" + e.Address)
		}
		return ParseBackend("unix/" + e.Address)
	}
	if _, err := netip.ParseAddrPort(e.Address); err != nil {
		return Backend{}, fmt.Errorf("the source lists %q, which is no IP:PORT", e.Address)
	}
	b, err := ParseBackend(scheme + "://" + e.Address)
	if err == nil && e.Host != "" {
		b.Host = strings.ToLower(e.Host)
	}
	return b, err
}

// leastWeight is the weight of an endpoint with weight 0 among others that have one,
// as a part of their mean: RFC 2782 wants it to be chosen very seldom.
const leastWeight = 0.01

// normalize scales weights so that they are 1 on average within their priority. A
// priority whose weights are all 0 has equal ones.
func normalize(list []discovered) {
	sums, counts := make(map[uint16]float64), make(map[uint16]float64)
	for _, d := range list {
		sums[d.priority] += d.weight
		counts[d.priority]++
	}
	for i := range list {
		d := &list[i]
		switch mean := sums[d.priority] / counts[d.priority]; mean {
		case 0:
			d.weight = 1
		default:
			d.weight = max(d.weight/mean, leastWeight)
		}
	}
}

// took records the outcome of a look-up of one of the sources of a configuration, a list
// or none, and reports whether it gave the first list of the source. Backends that are in
// no list of these sources any more begin to leave.
func (l *sourceLists) took(now time.Time, sources []discovery.Source, s *discovery.Source, list []discovered, err error) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bySource == nil {
		l.bySource, l.leaving = make(map[string]*sourceList), make(map[string]departure)
	}
	key := sourceKey(s)
	last := l.bySource[key]
	if last == nil {
		last = new(sourceList)
		l.bySource[key] = last
	}
	last.tried, last.err, last.memory = now, err, s.Memory
	if len(list) == 0 {
		if last.failing.IsZero() {
			last.failing = now
		}
		return false
	}
	first = last.at.IsZero()
	last.at, last.failing = now, time.Time{}
	if slices.Equal(last.backends, list) {
		return first
	}
	before := last.backends
	last.backends = list
	l.version++
	for _, d := range list {
		delete(l.leaving, d.backend.Key())
	}
	for _, d := range before {
		if key := d.backend.Key(); !l.has(sources, key) {
			l.leaving[key] = departure{d.backend, now, now}
		}
	}
	// Lists of configurations that are gone.
	maps.DeleteFunc(l.bySource, func(_ string, list *sourceList) bool { return now.Sub(list.tried) > keepUnused })
	return first
}

// remind gives a source that is about to be looked up the memory of the same source in
// another configuration, if that was looked up last.
func (l *sourceLists) remind(s *discovery.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.bySource[sourceKey(s)]
	if last == nil || last.memory == nil || s.Memory == nil || last.memory == s.Memory {
		return
	}
	s.Memory.Adopt(last.memory)
}

// keepUnused is how long the list of a source is kept that is not looked up any more.
const keepUnused = 24 * time.Hour

// has reports whether a list of one of the sources has a backend. l.mu is held.
func (l *sourceLists) has(sources []discovery.Source, key string) bool {
	for i := range sources {
		list := l.bySource[sourceKey(&sources[i])]
		if list == nil {
			continue
		}
		_, found := slices.BinarySearchFunc(list.backends, key, func(d discovered, key string) int {
			return strings.Compare(d.backend.Key(), key)
		})
		if found {
			return true
		}
	}
	return false
}

// current returns the version of the lists, which is never 0.
func (l *sourceLists) current() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version + 1
}

// currentLists are the lists of some sources, in their order, and the backends that
// left.
type currentLists struct {
	version uint64 // as of current
	of      [][]discovered
	leaving map[string]departure
}

// get returns the lists of sources.
func (l *sourceLists) get(sources []discovery.Source) currentLists {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := currentLists{version: l.version + 1, of: make([][]discovered, len(sources)), leaving: maps.Clone(l.leaving)}
	for i := range sources {
		if list := l.bySource[sourceKey(&sources[i])]; list != nil {
			c.of[i] = list.backends
		}
	}
	return c
}

// serves notes that a backend that left serves on. It does not change the version.
func (l *sourceLists) serves(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one, ok := l.leaving[key]; ok {
		one.stopped = now
		l.leaving[key] = one
	}
}

// forget ends the leaving of a backend.
func (l *sourceLists) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.leaving, key)
}

// age returns how long ago a source gave a list; false if it never did.
func (l *sourceLists) age(now time.Time, s *discovery.Source) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.bySource[sourceKey(s)]
	if list == nil || list.at.IsZero() {
		return 0, false
	}
	return now.Sub(list.at), true
}

// SourceView is what is known of a source of backends.
type SourceView struct {
	Name string
	// Backends is the length of its last list.
	Backends int
	// ListedAt is when it gave a list last; zero if it never did.
	ListedAt time.Time
	// FailingSince is when its look-ups began to fail; zero while they succeed.
	FailingSince time.Time
	// Err is why the last look-up failed, nil if it did not.
	Err error
	// Incomplete is what the last list is without, or has of an earlier one, since it
	// could not be looked up; nil if it is whole.
	Incomplete error
}

// views returns what is known of sources, in their order.
func (l *sourceLists) views(sources []discovery.Source) []SourceView {
	l.mu.Lock()
	defer l.mu.Unlock()
	views := make([]SourceView, 0, len(sources))
	for i := range sources {
		v := SourceView{Name: sources[i].Name}
		if list := l.bySource[sourceKey(&sources[i])]; list != nil {
			v.Backends, v.ListedAt, v.FailingSince = len(list.backends), list.at, list.failing
			if list.failing.IsZero() {
				v.Incomplete = list.err
			} else {
				v.Err = list.err
			}
		}
		views = append(views, v)
	}
	return views
}

// String names the source and its state, for logs.
func (v SourceView) String() string {
	if v.Err != nil {
		return fmt.Sprintf("%s: %v", v.Name, v.Err)
	}
	return v.Name
}
