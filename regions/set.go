package regions

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgegate/edgegate/regions/geo"
)

// MaxRegions is the most regions a gateway can have. It bounds the work that one
// request can ask for.
const MaxRegions = 64

// Set holds the configured regions in the order of the configuration. It is
// immutable and safe for concurrent use; a new configuration makes a new Set.
type Set struct {
	all    []*Region
	names  []string
	byName map[string]*Region
}

// NewSet checks the regions and returns them as a Set. It copies what it
// keeps. Regions with a known name and no coordinates get the built-in ones.
// The error joins all mistakes (errors.Join), each naming its region: invalid or repeated names, coordinates that are missing or outside
// the globe, no backends, a backend listed twice in a region. No region at all
// is an error too.
func NewSet(rs []Region) (*Set, error) {
	if len(rs) == 0 {
		return nil, errors.New("no region is configured: add `region NAME { backend http://HOST:PORT }`")
	}
	if len(rs) > MaxRegions {
		return nil, fmt.Errorf("%d regions are configured, %d are possible", len(rs), MaxRegions)
	}
	set := &Set{byName: make(map[string]*Region, len(rs))}
	var problems []error
	for _, r := range rs {
		region, wrong := r.prepare()
		problems = append(problems, wrong...)
		if _, twice := set.byName[r.Name]; twice {
			problems = append(problems, fmt.Errorf("region %q: the name is used twice", r.Name))
			continue
		}
		region.target = geo.TargetOf(region.Place())
		set.byName[r.Name] = region
		set.all = append(set.all, region)
		set.names = append(set.names, r.Name)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return set, nil
}

// Lookup returns the configured region of a name. Names are case-sensitive
// (contract 2.3). The region must not be changed.
func (s *Set) Lookup(name string) (*Region, bool) {
	r, ok := s.byName[name]
	return r, ok
}

// All returns the regions in configuration order. The slice is the Set's own
// and must not be changed.
func (s *Set) All() []*Region { return s.all }

// Names returns the names in configuration order. The slice is the Set's own
// and must not be changed.
func (s *Set) Names() []string { return s.names }

// Place returns the place of a name: the configured region's, else that of a
// region known out of the box, so that a gateway can be located in a region
// it doesn't serve.
func (s *Set) Place(name string) (geo.Place, bool) {
	if r, ok := s.byName[name]; ok {
		return r.Place(), true
	}
	return geo.PlaceOf(name)
}

// Ranked is a region with the score it was ordered by.
type Ranked struct {
	Region *Region
	// Prior is the expected round trip from the place it was ranked for.
	Prior time.Duration
	// Score is Prior plus the region's bias; lower is better.
	Score time.Duration
}

// Order returns all regions, the nearest to a place first: by Prior plus bias,
// in configuration order where those are equal. Where the place is unknown
// ranked is false and the regions are in configuration order with Prior and
// Score zero, which is the reason `default` of contract 2.7. The caller owns
// the slice.
func (s *Set) Order(from geo.Place) (order []Ranked, ranked bool) {
	order = make([]Ranked, len(s.all))
	for i, r := range s.all {
		order[i].Region = r
	}
	// Regions of a Set always have a place, so only from can be unknown.
	if !from.Locatable() {
		return order, false
	}
	for i := range order {
		r := order[i].Region
		order[i].Prior, _ = geo.Prior(from, r.Place())
		order[i].Score = order[i].Prior + r.Bias
	}
	slices.SortStableFunc(order, func(a, b Ranked) int { return cmp.Compare(a.Score, b.Score) })
	return order, true
}
