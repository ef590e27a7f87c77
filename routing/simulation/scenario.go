package simulation

import (
	"time"

	"github.com/edgegate/edgegate/routing/plan"
)

// Scenario describes a run: clients, gateways, regions and the events that happen.
type Scenario struct {
	Name  string
	About string // one line for people
	// Duration of the run. What happens in the first Warmup of it, while
	// gateways measure their regions, is not counted.
	Duration time.Duration
	Warmup   time.Duration
	// Rate is the number of requests that all clients together send per second.
	Rate float64
	// Regions are names of the built-in table, every one of it by default, each
	// with as many Backends.
	Regions  []string
	Backends int
	// Gateways are their places: a region's name, or latitude and longitude
	// with a space between. Default: one in each region.
	Gateways []string
	// Service is the run time of a function.
	Service time.Duration
	// Post is the part of the requests that must not be sent twice, Named the
	// part that names a region, Misrouted the part that reaches one of the five
	// next best gateways, 0 to 1.
	Post, Named, Misrouted float64
	// Noise is by how much each round trip differs from its mean at most, 0 to 1.
	Noise float64
	// Headroom is the capacity of a region by what usually runs in it; 0 leaves
	// the capacities unknown.
	Headroom float64
	// Nearest is the gateways' option `nearest`, and the place from which the extra
	// round trips are counted: from the gateway, or from the client.
	Nearest plan.Mode
	// Locate is the knowledge of gateways about a client: LocateCountry, or
	// LocateCoordinates too.
	Locate Locate
	Events []Event
}

// Locate is the knowledge of gateways about the places of clients.
type Locate string

// What gateways can know of clients.
const (
	LocateCountry     Locate = "country"
	LocateCoordinates Locate = "coordinates"
)

// Kind is the effect of an Event on a region.
type Kind string

// The kinds of events.
const (
	// KindDown: connections are refused, open ones reset.
	KindDown Kind = "down"
	// KindBlackhole: nothing is answered, nothing refused.
	KindBlackhole Kind = "blackhole"
	// KindSlow: round trips take Factor times as long.
	KindSlow Kind = "slow"
	// KindReset: Percent of the requests end in a reset before an answer.
	KindReset Kind = "reset"
	// KindFlap: KindDown for a Period, up for another, and so on.
	KindFlap Kind = "flap"
	// KindDrain: the operator drains the region over Over.
	KindDrain Kind = "drain"
	// KindAbsent: the region is not in the configuration.
	KindAbsent Kind = "absent"
	// KindLoad: clients send Factor times as many requests.
	KindLoad Kind = "load"
)

// kinds are all of them, for error messages.
var kinds = []string{
	string(KindDown), string(KindBlackhole), string(KindSlow), string(KindReset),
	string(KindFlap), string(KindDrain), string(KindAbsent), string(KindLoad),
}

// eachRegion in the place of a region's name means one after the other.
const eachRegion = "each"

// Event is something that happens from At on, for the duration For.
type Event struct {
	Kind    Kind
	At, For time.Duration
	// Region is its name, or "each": one after the other, one beginning Every
	// after that before.
	Region   string
	Every    time.Duration
	Backends int           // how many of the region's are hit; default all
	Factor   float64       // of slow and load
	Percent  float64       // of reset
	Period   time.Duration // of flap
	Over     time.Duration // of drain
}

// end is when an event is over, and with "each" the last one of n.
func (e *Event) end(n int) time.Duration {
	if e.Region == eachRegion {
		return e.At + time.Duration(n-1)*e.Every + e.For
	}
	return e.At + e.For
}
