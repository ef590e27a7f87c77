package caddymodule

import (
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/projects"
)

// Status is what `edgegate status` shows. Members of parts that this build
// does not have are null.
type Status struct {
	Version  string         `json:"version"`
	Location StatusLocation `json:"location"`
	Regions  []RegionStatus `json:"regions"`
	Store    *StatusStore   `json:"store"` // null without one
	Projects StatusProjects `json:"projects"`
	Sockets  int            `json:"websockets"` // open ones
}

// StatusLocation is where the gateway is and how that is known.
type StatusLocation struct {
	Region      string      `json:"region"` // "" when only coordinates are known
	Coordinates *[2]float64 `json:"coordinates,omitempty"`
	Source      string      `json:"source"` // configured or unknown
}

// StatusStore is how the store is.
type StatusStore struct {
	Kind     string `json:"kind"`
	State    string `json:"state"` // up, down or unknown
	Location string `json:"location"`
}

// StatusProjects is where the projects come from and how that goes.
type StatusProjects struct {
	Source        string             `json:"source"`             // config, file or redis
	Location      string             `json:"location,omitempty"` // the file, or the servers
	LoadedAt      *time.Time         `json:"loaded_at"`          // of what is in force; null before the first
	Error         *string            `json:"error"`              // why the latest is not in force
	Projects      int                `json:"projects"`
	Functions     int                `json:"functions"`
	OverPlan      int                `json:"functions_over_plan"` // left out (BEHAVIOUR.md 7.6)
	Problems      []projects.Problem `json:"problems,omitempty"`  // the first of them; they refuse nothing
	ProblemsTotal int                `json:"problems_total"`
	KeySets       StatusKeySets      `json:"jwks"`
}

// StatusKeySets is how the JWKS of files and URLs are.
type StatusKeySets struct {
	Sets      int     `json:"sets"`
	Failing   int     `json:"failing"`            // whose last fetch failed
	OldestAge float64 `json:"oldest_age_seconds"` // of the last good ones
}

// RegionStatus is one region as this gateway sees it.
type RegionStatus struct {
	Region   string          `json:"region"`
	State    regions.State   `json:"state"`
	Since    time.Time       `json:"since"`
	RTT      *float64        `json:"rtt_ms"` // expected, null when the gateway's place is unknown
	Load     *float64        `json:"load"`
	Backends []BackendStatus `json:"backends"`
}

// BackendStatus is one backend as this gateway sees it.
type BackendStatus struct {
	Address string        `json:"address"`
	State   regions.State `json:"state"`
}

// regionsAnswer is what `edgegate regions` shows.
type regionsAnswer struct {
	Regions []RegionStatus `json:"regions"`
}

func (a *App) status() Status {
	s := Status{
		Version:  Version(),
		Location: StatusLocation{Source: "unknown"},
		Regions:  a.regionStatus(),
		Store:    a.storeStatus(),
		Projects: a.projectStatus(),
		Sockets:  a.lease.sockets.open(),
	}
	if l := a.Location; l != nil {
		s.Location.Source, s.Location.Region = "configured", l.Region
		if l.Latitude != nil && l.Longitude != nil {
			s.Location.Coordinates = &[2]float64{*l.Latitude, *l.Longitude}
		}
	}
	return s
}

func (a *App) regionStatus() []RegionStatus {
	ranked, known := a.network.Set.Order(a.place)
	rtt := make(map[*regions.Region]float64, len(ranked))
	for _, r := range ranked {
		rtt[r.Region] = float64(r.Prior) / float64(time.Millisecond)
	}
	list := make([]RegionStatus, 0, len(a.network.Set.All()))
	for _, r := range a.network.Set.All() {
		state, since := a.network.State(r)
		entry := RegionStatus{Region: r.Name, State: state, Since: since.UTC()}
		if ms := rtt[r]; known {
			entry.RTT = &ms
		}
		for _, u := range a.network.Upstreams(r) {
			state, _ := u.State()
			entry.Backends = append(entry.Backends, BackendStatus{Address: u.Backend.Address, State: state})
		}
		list = append(list, entry)
	}
	return list
}

// shownProblems bounds the list in status; `edgegate projects check` has all.
const shownProblems = 100

func (a *App) projectStatus() StatusProjects {
	keys := a.lease.keys.Status()
	s := StatusProjects{
		Source:  "config",
		KeySets: StatusKeySets{Sets: keys.Sets, Failing: keys.Failing, OldestAge: keys.OldestAge.Seconds()},
	}
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

func (a *App) storeStatus() *StatusStore {
	user, ok := a.source.(interface{ storeStatus() StatusStore })
	if !ok {
		return nil
	}
	s := user.storeStatus()
	return &s
}
