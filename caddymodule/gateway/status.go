package gateway

import (
	"os"
	"slices"
	"time"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/routing/auth/jwks"
	"github.com/edgegate/edgegate/routing/projects"
)

// Status is the answer of `edgegate status`.
type Status struct {
	Version  string         `json:"version"`
	Location fleet.Location `json:"location"`
	Regions  []RegionStatus `json:"regions"`
	Store    *StatusStore   `json:"store"`
	Ledger   *StatusLedger  `json:"ledger"` // null before it is open
	Projects StatusProjects `json:"projects"`
	Sockets  int            `json:"websockets"` // number of open WebSockets
	Gateway  string         `json:"gateway"`    // id of this gateway and of its ledger
	Host     string         `json:"host"`       // name of the machine
	// Fleet lists the gateways that share the store and sent a heartbeat in the last
	// 15 s; null without a shared store.
	Fleet []fleet.Heartbeat `json:"fleet"`
	// Misrouted lists countries whose clients call this gateway although another
	// gateway of the fleet is nearer.
	Misrouted []fleet.MisroutedClients `json:"misrouted"`
}

// StatusStore is the state of the store.
type StatusStore struct {
	Kind string `json:"kind"`
	// State is up, degraded, down or unknown: the worst state of the connections to
	// Redis, the ledger of this machine, the granting of quotas, and the making of bills.
	State    string `json:"state"`
	Location string `json:"location"`
	Error    string `json:"error,omitempty"` // why it is not up
	// ClockOffset is how far the clock of Redis is ahead of this machine's. It is
	// followed at any offset; beyond 30 s the store is degraded.
	ClockOffset *float64 `json:"clock_offset_ms,omitempty"`
}

// StatusLedger is the state of the ledger: up; degraded, while invocations are
// recorded in the current file but the next file cannot be created or records do not
// reach the disk; down, while calls are answered 503 because they cannot be recorded.
type StatusLedger struct {
	Directory string        `json:"directory"`
	State     regions.State `json:"state"`
	Error     string        `json:"error,omitempty"`
	// UnknownTimeZones lists time zones in the ledger that this machine does not know.
	// Invocations that were counted in them are kept and not billed.
	UnknownTimeZones []string `json:"unknown_time_zones,omitempty"`
}

// StatusProjects describes the projects in force, their source, and the last attempt
// to load them.
type StatusProjects struct {
	Source        string             `json:"source"`             // config, file or redis
	Location      string             `json:"location,omitempty"` // the file, or the servers
	LoadedAt      *time.Time         `json:"loaded_at"`          // null while none were loaded
	Error         *string            `json:"error"`              // why the latest version is not in force; null if it is
	Projects      int                `json:"projects"`
	Functions     int                `json:"functions"`
	OverPlan      int                `json:"functions_over_plan"` // not served (contract 7.6)
	Problems      []projects.Problem `json:"problems,omitempty"`  // the first 100; the projects are in force all the same
	ProblemsTotal int                `json:"problems_total"`
	KeySets       StatusKeySets      `json:"jwks"`
}

// StatusKeySets summarizes the JWKS that come from files and URLs.
type StatusKeySets struct {
	Sets      int     `json:"sets"`
	Failing   int     `json:"failing"`            // sets whose last fetch failed
	OldestAge float64 `json:"oldest_age_seconds"` // the largest time since the last successful fetch of a set
	// Remarks lists keys that were left out of a set, and why. Keys of a set that is
	// written into the configuration are among StatusProjects.Problems.
	Remarks []StatusKeyRemark `json:"remarks,omitempty"`
}

// StatusKeyRemark says why a key of a set is not used.
type StatusKeyRemark struct {
	Location string `json:"location"` // without credentials and query
	Message  string `json:"message"`
}

// keySetStatus returns the summary of the key sets in use.
func keySetStatus(keys jwks.PoolStatus) StatusKeySets {
	s := StatusKeySets{Sets: keys.Sets, Failing: keys.Failing, OldestAge: keys.OldestAge.Seconds()}
	for _, set := range keys.Remotes {
		for _, remark := range set.Remarks {
			if len(s.Remarks) < shownProblems {
				s.Remarks = append(s.Remarks, StatusKeyRemark{set.Location, remark})
			}
		}
	}
	return s
}

// RegionStatus is one region as this gateway sees it. Times are in milliseconds,
// null while nothing is known.
type RegionStatus struct {
	Region   string        `json:"region"`
	State    regions.State `json:"state"`
	Since    time.Time     `json:"since"`
	Health   regions.State `json:"health"` // without the drain
	RTT      *float64      `json:"rtt_ms"` // measured, or expected before the first measurement
	Base     *float64      `json:"base_ms"`
	Fast     *float64      `json:"fast_ms"`
	Load     *float64      `json:"load"` // requests in flight by capacity; null if that is unknown
	InFlight int64         `json:"in_flight"`
	Capacity *int64        `json:"capacity"`
	// Refused counts the calls that were answered 503 because the region was full, by
	// the reason.
	Refused map[string]uint64 `json:"refused"`
	Sockets StatusRoom        `json:"websockets"`
	Drain   *StatusDrain      `json:"drain"` // null unless the region is drained
	// Backends are those that serve, and then those that are entering, on standby or
	// leaving.
	Backends []BackendStatus `json:"backends"`
	// Sources are where lists of backends come from; absent if all are fixed.
	Sources []SourceStatus `json:"sources,omitempty"`
}

// StatusDrain is the drain of a region.
type StatusDrain struct {
	Since      time.Time `json:"since"`
	Ends       time.Time `json:"ends"`        // when no request runs in the region any more
	Gone       float64   `json:"gone"`        // share of its automatic requests that go elsewhere, 0 to 1
	LastResort bool      `json:"last_resort"` // used while all other regions are down
}

// BackendStatus is one backend as this gateway sees it.
type BackendStatus struct {
	Address     string        `json:"address"`
	State       regions.State `json:"state"`
	Since       time.Time     `json:"since"`
	RTT         *float64      `json:"rtt_ms"`
	FailureRate float64       `json:"failure_rate"` // share of the calls of the last 10 s that failed, 0 to 1
	InFlight    int64         `json:"in_flight"`    // calls that run on it, WebSockets included
	// Weight is its part of the region's calls relative to its other backends: 1 for a
	// fixed one, 0 for one that gets none.
	Weight float64 `json:"weight"`
	// Phase is entering (no probe passed yet, or its weight still grows), standby (its
	// priority is not in use) or leaving (it left the list); absent while it serves.
	Phase regions.Phase `json:"phase,omitempty"`
	// Source is the source that lists it; absent for a fixed one.
	Source string `json:"source,omitempty"`
	// LeftAt is the time at which a leaving backend was missing from its list first.
	LeftAt *time.Time `json:"left_at,omitempty"`
}

// SourceStatus is a source of backends of a region.
type SourceStatus struct {
	Source   string     `json:"source"`
	Backends int        `json:"backends"`      // in its last list
	ListedAt *time.Time `json:"listed_at"`     // when it gave a list last; null if it never did
	Age      *float64   `json:"age_seconds"`   // how long ago that was
	Failing  *time.Time `json:"failing_since"` // null while its look-ups succeed
	Error    string     `json:"error,omitempty"`
}

// Status returns the state of the gateway: the answer of `edgegate status`.
func (a *App) Status() Status {
	s := Status{
		Version:  Version(),
		Regions:  a.RegionStatus(),
		Store:    a.withClockOffset(a.storeStatus(time.Now())),
		Ledger:   a.ledgerStatus(time.Now()),
		Projects: a.ProjectStatus(),
		Sockets:  a.shared.sockets.Len(),
		Gateway:  a.gatewayID(),
		Host:     hostname(),
	}
	location := a.network.View().Location
	heard, ok := a.shared.fleet.Heard()
	if ok {
		s.Fleet, s.Misrouted = heard, a.shared.fleet.Misrouted(s.Gateway, location.Place)
	}
	s.Location.Source, s.Location.Region = location.Source, location.Place.Region
	if c := location.Place; c.Known && c.Region == "" {
		s.Location.Coordinates = &[2]float64{c.Coordinates.Latitude, c.Coordinates.Longitude}
	}
	return s
}

// RegionStatus returns the regions as this gateway sees them, in the order of the
// configuration.
func (a *App) RegionStatus() []RegionStatus {
	view := a.network.View()
	list := make([]RegionStatus, 0, len(view.Regions))
	for i := range view.Regions {
		r := &view.Regions[i]
		entry := RegionStatus{
			Region:   r.Region.Name,
			State:    r.State,
			Since:    r.Since.UTC(),
			Health:   r.Health,
			InFlight: r.Load.InFlight(),
		}
		entry.Refused, entry.Sockets = statusRoom(&r.Load.Calls).Refused, statusRoom(&r.Load.Sockets)
		if r.Known {
			entry.RTT = milliseconds(r.Distance.RTT)
		}
		if r.Distance.Measured {
			entry.Base, entry.Fast = milliseconds(r.Distance.Base), milliseconds(r.Distance.Fast)
		}
		if load, known := r.Load.Factor(); known {
			capacity := r.Load.Capacity()
			entry.Load, entry.Capacity = &load, &capacity
		}
		if d := a.network.State(r.Region).Drain(); d.Active() {
			entry.Drain = &StatusDrain{
				Since:      d.Since.UTC(),
				Ends:       d.Since.Add(d.Over).UTC(),
				Gone:       r.Drained,
				LastResort: d.LastResort,
			}
		}
		entry.Backends = backendStatus(slices.Concat(r.Backends, r.Others))
		entry.Sources = sourceStatus(r.Sources, view.At)
		list = append(list, entry)
	}
	return list
}

func backendStatus(views []regions.BackendView) []BackendStatus {
	list := make([]BackendStatus, 0, len(views))
	for _, b := range views {
		backend := BackendStatus{
			Address:     b.Address,
			State:       b.State,
			Since:       b.Since.UTC(),
			FailureRate: b.FailureRate,
			InFlight:    b.InFlight,
			Weight:      b.Weight,
			Phase:       b.Phase,
			Source:      b.Source,
			LeftAt:      timeOrNull(b.Left),
		}
		if b.Distance.Measured {
			backend.RTT = milliseconds(b.Distance.RTT)
		}
		list = append(list, backend)
	}
	return list
}

func sourceStatus(views []regions.SourceView, now time.Time) []SourceStatus {
	list := make([]SourceStatus, 0, len(views))
	for _, s := range views {
		source := SourceStatus{
			Source:   s.Name,
			Backends: s.Backends,
			ListedAt: timeOrNull(s.ListedAt),
			Failing:  timeOrNull(s.FailingSince),
		}
		if !s.ListedAt.IsZero() {
			source.Age = new(now.Sub(s.ListedAt).Seconds())
		}
		if s.Err != nil {
			source.Error = logs.FirstLine(s.Err)
		}
		list = append(list, source)
	}
	return list
}

// timeOrNull returns nil for the zero time.
func timeOrNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at.UTC())
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

// shownProblems bounds the number of problems in status; `edgegate projects check`
// lists all of them.
const shownProblems = 100

// ProjectStatus returns the source of the projects and the outcome of loading them.
func (a *App) ProjectStatus() StatusProjects {
	s := StatusProjects{Source: "config", KeySets: keySetStatus(a.shared.keys.Status())}
	if a.single != nil {
		at := a.loadedAt.UTC()
		s.LoadedAt, s.Projects, s.Functions, s.OverPlan = &at, 1, a.single.Functions(), a.single.LeftOut()
		s.problems(a.problems)
		return s
	}
	state := a.keeper.current()
	s.Source, s.Location = a.sourceName(), a.source.Location()
	if !state.loadedAt.IsZero() {
		at := state.loadedAt.UTC()
		s.LoadedAt = &at
	}
	if state.err != nil {
		text := state.err.Error()
		s.Error = &text
	}
	s.Projects, s.Functions, s.OverPlan = state.report.Projects, state.report.Functions, state.report.OverPlan
	s.problems(state.report.Problems)
	return s
}

func (s *StatusProjects) problems(list []projects.Problem) {
	s.ProblemsTotal = len(list)
	s.Problems = list[:min(len(list), shownProblems)]
}

// storeStatus returns the worst state of the connections to Redis, the ledger and the
// quotas. Among several it is the first of them.
func (a *App) storeStatus(now time.Time) *StatusStore {
	s := &StatusStore{Kind: storeEmbedded, State: string(regions.StateUp), Location: a.dataDir()}
	stores := a.StoreConditions()
	if len(stores) > 0 {
		s.Kind, s.Location = storeRedis, stores[0].Name
	}
	for _, c := range slices.Concat(stores, a.ledgerConditions(now), a.quotaConditions(now), a.billsConditions(), a.clockConditions()) {
		if severityOf(c.State) > severityOf(s.State) {
			s.State, s.Error = c.State, c.Why
		}
	}
	return s
}

// severityOf orders states from up to down.
func severityOf(state string) int {
	return slices.Index([]string{
		string(regions.StateUp), string(regions.StateUnknown), string(regions.StateDegraded), string(regions.StateDown),
	}, state)
}

func (a *App) ledgerStatus(now time.Time) *StatusLedger {
	state, err := a.engine.LedgerState(now)
	if state == "" {
		return nil // the ledger is not open
	}
	s := &StatusLedger{Directory: a.engine.Dir(), State: regions.State(state), Error: logs.StoreCause(err)}
	for _, z := range a.engine.Ledger().UnknownZones() {
		s.UnknownTimeZones = append(s.UnknownTimeZones, z.Zone)
	}
	return s
}

// withClockOffset adds the difference between the clocks of Redis and this machine.
func (a *App) withClockOffset(s *StatusStore) *StatusStore {
	if shared := a.engine.Shared(); shared != nil {
		s.ClockOffset = new(float64(shared.Mirror().ClockOffset().Microseconds()) / 1000)
	}
	return s
}

// gatewayID returns the id of this gateway. It is the id of its ledger, which is the
// same after a restart with the same directory. It is empty before the ledger is open.
func (a *App) gatewayID() string {
	if a.engine == nil {
		return ""
	}
	ledger := a.engine.Ledger()
	if ledger == nil {
		return ""
	}
	return ledger.Instance()
}

// hostname returns the name of the machine, or "" if the system does not tell it.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// StatusRoom is the capacity of a region for one kind of call, and its use.
type StatusRoom struct {
	Held     int64             `json:"in_flight"`
	Capacity *int64            `json:"capacity"` // null without a limit
	Refused  map[string]uint64 `json:"refused"`  // calls answered 503 since this gateway started, by the reason
}

func statusRoom(r *capacity.Room) StatusRoom {
	s := StatusRoom{Held: r.Held(), Refused: make(map[string]uint64, len(capacity.Crowdings))}
	if capacity := r.Capacity(); capacity > 0 {
		s.Capacity = &capacity
	}
	for i, n := range r.Refused() {
		s.Refused[string(capacity.Crowdings[i])] = n
	}
	return s
}
