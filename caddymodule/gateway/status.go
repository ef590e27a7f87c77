package gateway

import (
	"os"
	"slices"
	"time"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/health"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/regions"
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
	// Health is whether new calls should be sent to this gateway, and why not.
	Health health.Answer `json:"health"`
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
		Health:   a.Health(),
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
