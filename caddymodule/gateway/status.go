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

// Status is what `edgegate status` shows. Members of parts that this build
// does not have are null.
type Status struct {
	Version  string         `json:"version"`
	Location fleet.Location `json:"location"`
	Regions  []RegionStatus `json:"regions"`
	Store    *StatusStore   `json:"store"`
	Ledger   *StatusLedger  `json:"ledger"` // null before it is open
	Projects StatusProjects `json:"projects"`
	Sockets  int            `json:"websockets"` // open ones
	Gateway  string         `json:"gateway"`    // this one's id, that of its ledger
	Host     string         `json:"host"`       // the machine's name
	// Fleet are the gateways that share the store and were heard within 15 s;
	// null without a shared store.
	Fleet []fleet.Heartbeat `json:"fleet"`
	// Misrouted are countries that another gateway of the fleet is nearer to.
	Misrouted []fleet.MisroutedClients `json:"misrouted"`
}

// StatusStore is how the store is.
type StatusStore struct {
	Kind string `json:"kind"`
	// State is up, degraded, down or unknown: the worst of what calls depend on, the
	// ledger of this machine and the granting of quotas included.
	State    string `json:"state"`
	Location string `json:"location"`
	Error    string `json:"error,omitempty"` // why it is not up
	// ClockOffset is how far the clock of Redis is ahead of this machine's. Up to 30 s
	// it is followed.
	ClockOffset *float64 `json:"clock_offset_ms,omitempty"`
}

// StatusLedger is how recording goes: up; degraded, while records still fit into
// the file in use and the next cannot be made, or do not get to the disk; down,
// while calls are answered 503 for it.
type StatusLedger struct {
	Directory string        `json:"directory"`
	State     regions.State `json:"state"`
	Error     string        `json:"error,omitempty"`
	// UnknownTimeZones are in the ledger and not known here: what was counted by
	// them is kept and not billed.
	UnknownTimeZones []string `json:"unknown_time_zones,omitempty"`
}

// StatusProjects is where the projects come from and how that goes.
type StatusProjects struct {
	Source        string             `json:"source"`             // config, file or redis
	Location      string             `json:"location,omitempty"` // the file, or the servers
	LoadedAt      *time.Time         `json:"loaded_at"`          // of what is in force; null before the first
	Error         *string            `json:"error"`              // why the latest is not in force
	Projects      int                `json:"projects"`
	Functions     int                `json:"functions"`
	OverPlan      int                `json:"functions_over_plan"` // left out (contract 7.6)
	Problems      []projects.Problem `json:"problems,omitempty"`  // the first of them; they refuse nothing
	ProblemsTotal int                `json:"problems_total"`
	KeySets       StatusKeySets      `json:"jwks"`
}

// StatusKeySets is how the JWKS of files and URLs are.
type StatusKeySets struct {
	Sets      int     `json:"sets"`
	Failing   int     `json:"failing"`            // whose last fetch failed
	OldestAge float64 `json:"oldest_age_seconds"` // of the last good ones
	// Remarks say which keys were left out of which set, and why. Those of a set that
	// is written into the configuration are among the problems.
	Remarks []StatusKeyRemark `json:"remarks,omitempty"`
}

// StatusKeyRemark is something odd about a key of a set.
type StatusKeyRemark struct {
	Location string `json:"location"` // without credentials and query
	Message  string `json:"message"`
}

// keySetStatus returns how the sets in use are.
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
	Health   regions.State `json:"health"` // what a drain hides
	RTT      *float64      `json:"rtt_ms"` // measured, or expected before the first measurement
	Base     *float64      `json:"base_ms"`
	Fast     *float64      `json:"fast_ms"`
	Load     *float64      `json:"load"` // requests in flight by capacity; null if that is unknown
	InFlight int64         `json:"in_flight"`
	Capacity *int64        `json:"capacity"`
	// Refused counts the calls answered 503 for want of room, by why.
	Refused  map[string]uint64 `json:"refused"`
	Sockets  StatusRoom        `json:"websockets"`
	Drain    *StatusDrain      `json:"drain"` // null without an order
	Backends []BackendStatus   `json:"backends"`
}

// StatusDrain is an order to drain a region.
type StatusDrain struct {
	Since      time.Time `json:"since"`
	Ends       time.Time `json:"ends"`        // when nothing runs there any more
	Gone       float64   `json:"gone"`        // of its automatic requests, 0 to 1
	LastResort bool      `json:"last_resort"` // used when all others are down
}

// BackendStatus is one backend as this gateway sees it.
type BackendStatus struct {
	Address     string        `json:"address"`
	State       regions.State `json:"state"`
	Since       time.Time     `json:"since"`
	RTT         *float64      `json:"rtt_ms"`
	FailureRate float64       `json:"failure_rate"` // of the last ten seconds, 0 to 1
}

// Status returns how the gateway is: what `edgegate status` shows.
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
		for _, b := range r.Backends {
			backend := BackendStatus{
				Address:     b.Address,
				State:       b.State,
				Since:       b.Since.UTC(),
				FailureRate: b.FailureRate,
			}
			if b.Distance.Measured {
				backend.RTT = milliseconds(b.Distance.RTT)
			}
			entry.Backends = append(entry.Backends, backend)
		}
		list = append(list, entry)
	}
	return list
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

// shownProblems bounds the list in status; `edgegate projects check` has all.
const shownProblems = 100

// ProjectStatus returns where the projects come from and how loading them goes.
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

// storeStatus returns how the store is: the first of the worst states of all that
// calls depend on.
func (a *App) storeStatus(now time.Time) *StatusStore {
	s := &StatusStore{Kind: storeEmbedded, State: string(regions.StateUp), Location: a.dataDir()}
	stores := a.StoreConditions()
	if len(stores) > 0 {
		s.Kind, s.Location = storeRedis, stores[0].Name
	}
	for _, c := range slices.Concat(stores, a.ledgerConditions(now), a.quotaConditions(now)) {
		if severityOf(c.State) > severityOf(s.State) {
			s.State, s.Error = c.State, c.Why
		}
	}
	return s
}

// severityOf orders states by how much they keep from working.
func severityOf(state string) int {
	return slices.Index([]string{
		string(regions.StateUp), string(regions.StateUnknown), string(regions.StateDegraded), string(regions.StateDown),
	}, state)
}

func (a *App) ledgerStatus(now time.Time) *StatusLedger {
	state, err := a.engine.LedgerState(now)
	if state == "" {
		return nil // it is not open
	}
	s := &StatusLedger{Directory: a.engine.Dir(), State: regions.State(state), Error: logs.StoreCause(err)}
	for _, z := range a.engine.Ledger().UnknownZones() {
		s.UnknownTimeZones = append(s.UnknownTimeZones, z.Zone)
	}
	return s
}

// withClockOffset adds how far the clocks are apart.
func (a *App) withClockOffset(s *StatusStore) *StatusStore {
	if shared := a.engine.Shared(); shared != nil {
		s.ClockOffset = new(float64(shared.Mirror().ClockOffset().Microseconds()) / 1000)
	}
	return s
}

// gatewayID names this gateway everywhere: it is the id of its ledger, which stays
// over restarts on the same directory. It is empty before the ledger is open.
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

// hostname is the name of the machine, for people; empty if the system does not say.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// StatusRoom is one kind of room in a region.
type StatusRoom struct {
	Held     int64             `json:"in_flight"`
	Capacity *int64            `json:"capacity"` // null: no limit
	Refused  map[string]uint64 `json:"refused"`  // calls answered 503 for it since this gateway started, by why
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
