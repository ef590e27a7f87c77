package gateway

import (
	"errors"
	"iter"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/routing/auth/jwks"
	"github.com/edgegate/edgegate/routing/plan"
	"github.com/edgegate/edgegate/routing/projects"
)

// Running returns the gateway of the configuration in force. Its errors are
// caddy.APIErrors: 503 while the process starts, 404 without a gateway in the
// configuration. Caddy makes the routes of its admin API before apps, so that they
// call this for each request.
func Running() (*App, error) {
	ctx := caddy.ActiveContext()
	if ctx.Context == nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the gateway is starting")}
	}
	app, err := ctx.AppIfConfigured("edge_functions")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("edge_functions is not configured")}
	}
	return app.(*App), nil
}

// Projects iterates over the projects in force.
func (a *App) Projects() iter.Seq[*projects.Project] {
	return func(yield func(*projects.Project) bool) {
		if a.single != nil {
			yield(a.single)
			return
		}
		if snapshot := a.keeper.catalogue.Load(); snapshot != nil {
			snapshot.All()(yield)
		}
	}
}

// ManyProjects reports whether the projects come from a source. There is one project
// otherwise, that of the configuration.
func (a *App) ManyProjects() bool { return a.single == nil }

// AllowsCertificate reports whether a certificate for a host may be obtained: it is
// a domain of a project, or the shared domain of one. A single project is served on
// any host; for that one, only the domains in its configuration are allowed. The host
// must be as TLS clients send it: without port and without a dot at its end.
func (a *App) AllowsCertificate(host string) bool {
	match, ok := a.catalogue.Find(host)
	return ok && !(a.single != nil && match.Shared) && projects.NormalizeHost(host) == strings.ToLower(host)
}

// KeySets returns the state of the key sets that come from files and URLs.
func (a *App) KeySets() jwks.PoolStatus { return a.shared.keys.Status() }

// Exporters returns the exporters of the configuration, in its order.
func (a *App) Exporters() []Exporter { return a.exporters }

// Engine returns the billing engine, which outlives the configuration.
func (a *App) Engine() *billing.Engine { return a.engine }

// Fleet returns the other gateways that share the store, as their heartbeats say.
func (a *App) Fleet() *fleet.Fleet { return a.shared.fleet }

// View returns the regions as they are now.
func (a *App) View() *regions.View { return a.network.View() }

// Explain returns how a region is chosen for a request, by a view of the regions
// that may be supposed (plan.Suppose).
func (a *App) Explain(view *regions.View, q *plan.Query) (*plan.Explanation, error) {
	return a.pipeline.Explain(view, q)
}

// Tenant returns the share of the regions that a project may hold, as a plan.Query
// has it.
func (a *App) Tenant(p *projects.Project) capacity.Tenant { return a.pipeline.Tenant(p) }

// Logger returns the log of the configuration.
func (a *App) Logger() *zap.Logger { return a.logger }
