package gateway

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/health"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
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

// While returns a context that ends with parent, or once another configuration takes
// over. The returned function releases it.
func (a *App) While(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	stop := context.AfterFunc(a.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Health returns whether new calls should be sent to this gateway.
func (a *App) Health() health.Answer { return a.shared.health.Answer(a.healthChecks) }

// GatewayDrain returns the drain of this gateway; Drains returns those of regions.
func (a *App) GatewayDrain() health.Status { return a.shared.health.DrainStatus() }

// DrainGateway makes this gateway not ready at once, and stops the process after over,
// unless noStop. Until then calls are served.
func (a *App) DrainGateway(over time.Duration, noStop bool) (health.Status, error) {
	status, err := a.shared.health.Drain(over, noStop)
	if err == nil {
		a.logger.Info("gateway drain ordered", zap.Duration("over", over), zap.Bool("stops", status.Stops))
	}
	return status, err
}

// UndrainGateway takes the order of DrainGateway back, which is possible until the
// process stops.
func (a *App) UndrainGateway() (health.Status, error) {
	status, err := a.shared.health.Undrain()
	if err == nil {
		a.logger.Info("gateway drain taken back")
	}
	return status, err
}

// healthChecks finds out the conditions on which the gateway is ready. ok is false
// before the configuration has started.
func (a *App) healthChecks() (found health.Checks, ok bool) {
	select {
	case <-a.started:
	default:
		return found, false
	}
	state, _ := a.engine.LedgerState(time.Now())
	found.LedgerWritable = state != "" && state != billing.StateDown
	found.ProjectsLoaded = a.single != nil || !a.keeper.current().loadedAt.IsZero()
	found.ClockInBounds = true
	if shared := a.engine.Shared(); shared != nil {
		found.ClockInBounds = shared.Mirror().ClockOffset().Abs() <= metering.MaxClockOffset
	}
	return found, true
}

// stopProcess has Caddy end the process as it does for a service manager: calls that
// run have the grace period.
func stopProcess() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGTERM)
	}
	if err != nil {
		caddy.Log().Named("edge_functions").Error("drained gateway not stopped; stop the process", zap.Error(err))
	}
}
