package metrics

import (
	"time"

	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
)

// Values are the numbers of one scrape.
type Values struct {
	Projects   Projects
	KeySets    KeySets
	RateLimits rate.LimiterStats
	Replay     regions.ReplayStats
	Tokens     auth.Stats
	InFlight   InFlight
	Store      Store
	Ledger     Ledger
	Regions    []Region
	Exporters  []Exporter
	Dropped    uint64    // events given up before Redis had them
	Requests   *Requests // nil if requests are not counted
	Quotas     Quotas
	// Changes are changes of state, by what changed and the state it entered.
	Changes      map[Change]uint64
	Ready        bool
	RetriesLeft  int64  // calls that may be sent a second time now
	LogLost      uint64 // lines of the invocation log
	SpansDropped uint64
	Loads        uint64 // configurations that were put into force
}

// Projects are the projects in force and how loading them goes.
type Projects struct {
	Projects  int
	Functions int
	OverPlan  int       // functions left out since the plan allows fewer
	Problems  int       // those that refuse nothing
	LoadedAt  time.Time // of the projects in force; zero before the first
	Stale     bool      // the latest projects are not in force
	Failures  uint64    // loads that were refused or could not be read
}

// KeySets are the sets of public keys that come from files and URLs.
type KeySets struct {
	Sets      int
	Failing   int // sets whose last fetch failed
	OldestAge time.Duration
}

// InFlight are the caps on calls that run at once.
type InFlight struct {
	Callers int               // projects, functions and clients that are counted
	Refused map[string]uint64 // calls answered 503, by the scope of the cap
}

// Store is the store that gateways share. All is 0 with the embedded store.
type Store struct {
	Down        bool          // Redis does not answer
	Corrected   uint64        // sums that differed from the ledger
	Unflushed   time.Duration // for how long some sums did not get to Redis
	ClockOffset time.Duration // how far the clock of Redis is ahead of this machine's
}

// Ledger is the record of invocations.
type Ledger struct {
	Writable bool // false before it is open
	Waiting  int  // invocations that went on without a record
	NoBills  bool // the file of bills is damaged
	Degraded bool // it is not up
	SyncAge  time.Duration
}

// Change is a change of the state of something of a kind.
type Change struct{ Kind, State string }

// Quotas are the quotas in this process.
type Quotas struct {
	Organizations    int
	Exhausted        int // organizations whose hard quota is used up
	Held, Unreported int64
	Failing          bool // calls were refused lately since the store did not answer
}

// Region is one region as this gateway sees it.
type Region struct {
	Name         string
	State        regions.State
	Drained      float64        // part of the automatic requests that a drain keeps away, 0 to 1
	RTT          *time.Duration // nil while it is not known
	InFlight     int64
	Capacity     *int64 // nil without a limit
	Backends     int
	BackendsDown int
	// BackendsEntering and BackendsLeaving count new ones, and those that left a list and
	// still run calls.
	BackendsEntering, BackendsLeaving int
	ListAge                           *time.Duration    // of the oldest list of backends; nil if there is none
	ListsFailing                      int               // sources of backends whose look-ups fail
	Refused                           map[string]uint64 // calls answered 503 for want of room, by reason
	WebSockets                        Room
	BreakersOpen                      int // backends that are held back after failures
	ProbesPassed, ProbesFailed        uint64
}

// Room is how much of a kind of room is taken.
type Room struct {
	Held     int64
	Capacity *int64            // nil without a limit
	Refused  map[string]uint64 // calls answered 503 for want of it, by reason
}

// Exporter is how the export of usage to one service or directory goes.
type Exporter struct {
	Name        string
	Failing     bool      // the last round failed
	LastSuccess time.Time // when it last had all final lines; zero before the first time
	Due         int       // days or hours of organizations of which it may not have all
	Unanswered  int       // messages of which it is not known whether they arrived
	Held        int       // messages of the last round that wait
	Rejected    int       // messages that the service does not take
}
