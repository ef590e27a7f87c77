package regions

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/regions/spelling"
)

// anyName means "no region in particular" in x-region and forceFunctionRegion
// (contract 2.1), so no region can have this name.
const anyName = "any"

// maxNameLength bounds a region's name, in bytes: it ends up in headers and metric
// labels.
const maxNameLength = 64

// Region is one configured region.
type Region struct {
	// Name identifies the region to clients: letters, digits, - and _.
	Name string
	// Backends are the fixed runtime servers, in configuration order.
	Backends []Backend
	// Sources find more of them. A region has at least one backend or source.
	Sources []discovery.Source
	// Coordinates hold only if HasCoordinates is true. NewSet fills them in
	// for known names, so in a Set they always hold.
	Coordinates    geo.Coordinates
	HasCoordinates bool
	// Bias is added to the expected round trip when regions are ordered: a
	// positive one makes the region less preferred. Default 0.
	Bias time.Duration
	// Capacity is how many requests the region can run at once; 0 is unknown,
	// and then it is never full.
	Capacity int64
	// WebSockets is how many WebSockets the region can have open in addition; 0 is
	// DefaultSockets times the capacity, and no limit where that is unknown.
	WebSockets int64
	// HealthURI is the path and query of health probes. A configured one must
	// answer 2xx; for DefaultHealthURI any answer will do.
	HealthURI string

	target *geo.Target // prepared by NewSet; nil outside a Set
}

const (
	// DefaultSockets is how many WebSockets a region can have open for each
	// request that it can run (contract 9.6).
	DefaultSockets = 4
	// MaxCapacity is the largest capacity that can be configured. To have no limit
	// leave the capacity out.
	MaxCapacity = math.MaxInt32
)

// Sockets returns how many WebSockets the region can have open, 0 for any
// number.
func (r *Region) Sockets() int64 {
	if r.WebSockets > 0 {
		return r.WebSockets
	}
	return DefaultSockets * r.Capacity
}

// Place returns the place of the region.
func (r *Region) Place() geo.Place {
	return geo.Place{Region: r.Name, Coordinates: r.Coordinates, Known: r.HasCoordinates}
}

// Target returns the region's place as geo.ClientRTT takes it, nil where the
// place is unknown. For a region of a Set it costs nothing.
func (r *Region) Target() *geo.Target {
	if r.target != nil {
		return r.target
	}
	return geo.TargetOf(r.Place())
}

// Upgrades reports whether a backend of the region can switch protocols, as
// WebSockets do: those with HTTP/2 without TLS cannot.
func (r *Region) Upgrades() bool {
	return slices.ContainsFunc(r.Backends, func(b Backend) bool { return !b.H2C }) ||
		slices.ContainsFunc(r.Sources, func(s discovery.Source) bool { return s.Scheme != "h2c" })
}

// prepare returns a copy with the built-in coordinates filled in and its own slice
// of backends, and all errors of the region.
func (r Region) prepare() (*Region, []error) {
	var problems []error
	fail := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("region %q: "+format, append([]any{r.Name}, args...)...))
	}
	nameErr := validName(r.Name)
	if nameErr != nil {
		fail("%w", nameErr)
	}
	if r.HasCoordinates {
		if err := r.Coordinates.Valid(); err != nil {
			fail("%w", err)
		}
	} else if known, ok := geo.Known(r.Name); ok {
		r.Coordinates, r.HasCoordinates = known.Coordinates, true
	} else if nameErr == nil {
		// A wrong name must be mended first.
		fail("the place of this name is not known: add `coordinates LAT LON`%s", spelling.DidYouMean(r.Name, geo.KnownNames()))
	}
	if r.Capacity < 0 || r.Capacity > MaxCapacity {
		fail("the capacity must be from 0 to %d", MaxCapacity)
	}
	if r.WebSockets < 0 || r.WebSockets > MaxCapacity {
		fail("websockets must be from 0 to %d", MaxCapacity)
	}
	if r.HealthURI != "" && !strings.HasPrefix(r.HealthURI, "/") {
		fail("the health URI must begin with a slash")
	}
	if len(r.Backends)+len(r.Sources) == 0 {
		fail("no backend: add `backend http://HOST:PORT`, or `dynamic` and where to find them")
	}
	seen := make(map[string]string, len(r.Backends))
	for _, b := range r.Backends {
		key := b.Scheme + " " + b.Network + " " + b.DialAddress // not server: no server speaks HTTP/1 and h2c
		first, twice := seen[key]
		switch {
		case !twice:
			seen[key] = b.Address
		case first == b.Address:
			fail("backend %q is listed twice", b.Address)
		default:
			fail("backend %q is the same server as %q", b.Address, first)
		}
	}
	for i := range r.Sources {
		if slices.ContainsFunc(r.Sources[:i], func(s discovery.Source) bool { return sourceKey(&s) == sourceKey(&r.Sources[i]) }) {
			fail("%s is listed twice", r.Sources[i].Name)
		}
	}
	r.Backends, r.Sources = slices.Clone(r.Backends), slices.Clone(r.Sources)
	return &r, problems
}

func validName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case strings.EqualFold(name, anyName):
		// Names are case-sensitive, but a region "Any" would be asked for by mistake
		// only.
		return errors.New("the name means every region in x-region and cannot be a region's own")
	case len(name) > maxNameLength:
		return fmt.Errorf("the name has %d bytes, %d are possible", len(name), maxNameLength)
	}
	for _, c := range []byte(name) {
		if !nameByte(c) {
			return errors.New("the name may have letters, digits, - and _ only")
		}
	}
	return nil
}
