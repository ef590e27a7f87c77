package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/regions"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI is the admin endpoint /edge_functions/: what the command line and
// operators ask a running gateway.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.edge_functions",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	routes := map[string]func(*App, *http.Request) (any, error){
		"/edge_functions/status":  func(a *App, _ *http.Request) (any, error) { return a.status(), nil },
		"/edge_functions/regions": func(a *App, _ *http.Request) (any, error) { return regionsAnswer{a.regionStatus()}, nil },
		"/edge_functions/explain": func(a *App, r *http.Request) (any, error) { return a.explain(r) },
	}
	list := make([]caddy.AdminRoute, 0, len(routes))
	for path, answer := range routes {
		list = append(list, caddy.AdminRoute{Pattern: path, Handler: adminHandler(answer)})
	}
	return list
}

// adminHandler answers a GET with JSON. The app is looked up for each request:
// admin routers are made before apps are.
func adminHandler(answer func(*App, *http.Request) (any, error)) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet {
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("only GET is allowed")}
		}
		app, err := caddy.ActiveContext().AppIfConfigured("edge_functions")
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("edge_functions is not configured")}
		}
		value, err := answer(app.(*App), r)
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(value)
	}
}

// Status is what `edgegate status` shows. Members of parts that this build
// does not have are null.
type Status struct {
	Version  string         `json:"version"`
	Location StatusLocation `json:"location"`
	Regions  []RegionStatus `json:"regions"`
	Store    *struct{}      `json:"store"`
	Projects StatusProjects `json:"projects"`
	Sockets  int            `json:"websockets"` // open ones
}

// StatusLocation is where the gateway is and how that is known.
type StatusLocation struct {
	Region      string      `json:"region"` // "" when only coordinates are known
	Coordinates *[2]float64 `json:"coordinates,omitempty"`
	Source      string      `json:"source"` // configured or unknown
}

// StatusProjects is where the projects come from.
type StatusProjects struct {
	Source   string    `json:"source"`
	LoadedAt time.Time `json:"loaded_at"`
	Error    *string   `json:"error"`
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
		Projects: StatusProjects{Source: "config", LoadedAt: a.loadedAt.UTC()},
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

// explain answers for a hypothetical request that names ?region=.
func (a *App) explain(r *http.Request) (any, error) {
	for name := range r.URL.Query() {
		if name != "region" {
			return nil, fmt.Errorf("parameter %q: allowed is region", name)
		}
	}
	return a.pipeline.Explain(a.place, r.URL.Query().Get("region"))
}

// Interface guards
var _ caddy.AdminRouter = adminAPI{}
