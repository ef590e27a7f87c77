package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/handover"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/metrics"
	"github.com/edgegate/edgegate/caddymodule/tracing"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/locate"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	caddy.RegisterModule(new(App))
}

// defaultGrace bounds how long the process waits for streams and WebSockets when it
// stops and no grace_period is set. Without a bound, which is Caddy's default, a stream
// that never ends would keep the process running.
const defaultGrace = 20 * time.Second

// App is the gateway: the regions, and the projects whose functions run there.
// Sites hand requests to it with the handler of the same name.
type App struct {
	// The domain of which <ref>.<apex> and <ref>.functions.<apex> are the
	// shared hosts. Optional with one project.
	Apex string `json:"apex,omitempty"`

	// The location of this gateway. Without it, requests that name no region go to the
	// regions in configuration order.
	Location *Location `json:"location,omitempty"`

	// How a region is chosen for requests that name none.
	Nearest *Nearest `json:"nearest,omitempty"`

	// Answers to requests whose x-sb-debug header has this secret say how the region
	// was chosen. It may contain {env.X}. Default: none, no answer says that.
	DebugSecret string `json:"debug_secret,omitempty"`

	// How the location of clients is found.
	Locate *Locate `json:"locate,omitempty"`

	// Which requests may be sent to a second backend.
	Retry *Retry `json:"retry,omitempty"`

	// The regions, in order of preference if nothing else decides.
	Regions []*Region `json:"regions,omitempty"`

	// The longest time without data from a backend. Default: 150s.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// The largest request body, in bytes. Default: no limit.
	MaxBody int64 `json:"max_body,omitempty"`

	// Bounds of the memory that callers can make the gateway use.
	Memory *Memory `json:"memory,omitempty"`

	// The single project, which is served on every host of the sites.
	Project *Project `json:"project,omitempty"`

	// The source of many projects, instead of `project`.
	ProjectsRaw json.RawMessage `json:"projects,omitempty" caddy:"namespace=edge_functions.projects inline_key=source"`

	// Whether `jwks_url` of projects from a source may lead to private addresses. That
	// of the single project always may.
	JWKSPrivate bool `json:"jwks_private,omitempty"`

	// The currency of all prices, by its code of ISO 4217. Default: USD.
	Currency string `json:"currency,omitempty"`

	// Plans in addition to the built-in ones, or changes of those.
	Plans map[string]*Plan `json:"plans,omitempty"`

	// Rate limits of invocations.
	RateLimits []*RateLimit `json:"rate_limits,omitempty"`

	// How many calls of one project, function or client may run at once.
	InFlight *InFlight `json:"in_flight,omitempty"`

	// The largest share of a region's capacity that one project may use, in percent.
	// Default: 80.
	CapacityShare int64 `json:"capacity_share,omitempty"`

	// The exporters of line items.
	ExportersRaw []json.RawMessage `json:"exporters,omitempty" caddy:"namespace=edge_functions.exporters inline_key=exporter"`

	// A line for each request in the logger `edge_functions.invocations`. Default: none.
	InvocationLog *logs.InvocationLogConfig `json:"invocation_log,omitempty"`

	// Spans of invocations, which are sent over OTLP. Default: none.
	Tracing *tracing.Config `json:"tracing,omitempty"`

	// Whether requests and their times are counted in metrics. Default: true.
	RequestMetrics *bool `json:"request_metrics,omitempty"`

	// How many of the busiest projects have counts of their own in metrics. Default: 0.
	TopProjects int `json:"top_projects,omitempty"`

	// The directory of the ledger, and the Redis that gateways share.
	Store *Store `json:"store,omitempty"`

	ctx        caddy.Context
	logger     *zap.Logger
	shared     *sharedState
	engine     *billing.Engine
	network    *regions.Network
	storeConn  *redisconn.Conn   // for heartbeats and drain orders; nil without Redis
	drains     *fleet.DrainStore // orders to drain regions
	locator    *locate.Locator   // nil if clients are not located
	debugHash  []byte            // SHA-256 of the debug secret; nil without one
	retries    regions.RetryPolicy
	pipeline   *routing.Pipeline
	servers    []*caddyhttp.Server // those with the handler
	limits     callLimits
	exporters  []Exporter
	loadedAt   time.Time
	single     *projects.Project // nil with a source
	problems   []projects.Problem
	keyFile    string // JWKS of the single project; it must exist at the start
	catalogue  routing.Projects
	source     ProjectSource // nil with a single project
	keeper     *projectKeeper
	missing    error         // why a PreloadedSource has no projects
	started    chan struct{} // closed when Start has ended
	cancel     context.CancelFunc
	background sync.WaitGroup // goroutines that end after cancel

	invocations logs.InvocationTurn
	counter     *metrics.Counter // nil if requests are not counted
	tracer      *tracing.Tracer  // nil if nothing is traced
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "edge_functions",
		New: func() caddy.Module { return new(App) },
	}
}

const (
	noProject    = "no project: add `project default { ... }` or `projects file PATH` to the edge_functions global option"
	bothProjects = "projects: there is a `project` too; keep one of them"
)

// Provision checks the configuration and takes references to the state that outlives
// it. It opens neither the ledger nor connections.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger, a.loadedAt = ctx, ctx.Logger(), time.Now()
	a.started = make(chan struct{})
	if logs.Exposes(a.logger.Core()) {
		a.logger.Warn("log not masked: " + logs.ExposedMessage + "; " + logs.ExposedRemedy)
	}
	logs.UseForRedis(a.logger)
	set, err := a.regionSet()
	if err != nil {
		return err
	}
	location, err := a.gatewayLocation(set)
	if err != nil {
		return err
	}
	nearest, err := a.Nearest.policy()
	if err != nil {
		return err
	}
	if a.retries, err = a.Retry.policy(); err != nil {
		return err
	}
	if err := a.provisionLocator(); err != nil {
		return err
	}
	if err := a.provisionDebug(); err != nil {
		return err
	}
	if err := a.Store.check(); err != nil {
		return err
	}
	if err := a.provisionLimits(); err != nil {
		return err
	}
	if err := a.provisionRoom(); err != nil {
		return err
	}
	if err := a.checkPrices(); err != nil {
		return err
	}
	if err := a.provisionExporters(ctx); err != nil {
		return err
	}
	if a.IdleTimeout < 0 || a.MaxBody < 0 {
		return errors.New("idle_timeout and max_body must not be negative")
	}
	if err := a.Memory.check(); err != nil {
		return err
	}
	if err := a.InvocationLog.Check(); err != nil {
		return err
	}
	if err := a.checkMetrics(); err != nil {
		return err
	}
	if err := a.Tracing.Check(); err != nil {
		return err
	}
	// Caddy calls Cleanup, which releases it, also if Provision fails.
	a.shared = acquireShared()
	a.invocations.Provide(a.shared.invocations, logs.NewInvocationLog(a.InvocationLog, a.logger))
	a.tracer = tracing.NewTracer(a.Tracing, a.shared.exporter(a.Tracing != nil))
	a.engine = engines.hold(a.shared, a.dataDir())
	if err := a.provisionCatalogue(ctx, set); err != nil {
		return err
	}
	a.network = regions.NewNetwork(regions.NetworkConfig{Set: set, States: stateStore{a.shared}, Location: location})
	a.countRequests(set)
	a.pipeline = routing.NewPipeline(a.catalogue, a.network, routing.Settings{
		IdleTimeout:   time.Duration(a.IdleTimeout),
		MaxBody:       a.MaxBody,
		Nearest:       nearest,
		CapacityShare: a.CapacityShare,
	})
	if err := a.watchCertificates(ctx); err != nil {
		return err
	}
	return metrics.Register(ctx.GetMetricsRegistry(), a.scrape)
}

// Start opens the ledger, loads the projects, and starts the goroutines of the
// configuration: probes, sources, heartbeats, logs of states.
func (a *App) Start() error {
	defer close(a.started)
	logs.HideBackendBytes()
	if err := a.limitGrace(); err != nil {
		return err
	}
	security, err := a.backendTLS()
	if err != nil {
		return err
	}
	if err := a.tracer.Start(Version()); err != nil {
		return err
	}
	if err := a.openStore(); err != nil {
		return err
	}
	if err := a.startEngine(); err != nil {
		return err
	}
	a.restoreDrains()
	if a.locator != nil {
		if err := a.locator.Open(); err != nil {
			return fmt.Errorf("locate: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(a.ctx)
	a.cancel = cancel
	begin := a.followSource
	if a.single != nil {
		begin = a.startSingle
	}
	own, err := a.ownAddresses()
	if err == nil {
		err = begin(ctx)
	}
	if err != nil {
		cancel()
		return err
	}
	a.background.Go(func() { a.shared.keys.Prefetch(ctx) })
	a.network.Apply(security, own)
	a.background.Go(func() { a.network.Run(ctx) })
	// Before the rest: two configurations at once would log changes of state to and fro.
	a.awaitLists(ctx)
	a.background.Go(func() { a.closeDrained(ctx) })
	a.watchStates(ctx)
	if a.locator != nil {
		a.background.Go(func() { a.locator.Run(ctx) })
	}
	if a.storeConn != nil {
		a.background.Go(func() { a.followFleet(ctx) })
	}
	a.applyMemory()
	a.engine.Use(billingCatalogue{a}) // not that of a configuration that does not start
	a.invocations.Start()
	loads.Add(1)
	a.shared.requests.TopProjects(a.TopProjects)
	return nil
}

// startWait bounds how long requests wait for the first configuration to start.
const startWait = 10 * time.Second

// awaitStart waits until a configuration has started. Caddy starts apps in any order:
// its servers may accept requests before this app has started. In a reload it waits
// for lists of backends alone.
func (a *App) awaitStart(ctx context.Context) {
	wait := startWait
	if a.engine.InUse() {
		if a.network.Ready() {
			return
		}
		wait = listsWait
	}
	select {
	case <-a.started:
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// listsWait bounds how long the first lists of backends are waited for.
const listsWait = 2 * time.Second

// awaitLists waits for the first lists of backends of regions that look them up.
func (a *App) awaitLists(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, listsWait)
	defer cancel()
	a.network.AwaitLists(ctx)
}

// ownAddresses is handover.OwnAddresses of the servers of this configuration.
func (a *App) ownAddresses() (func(address string) bool, error) {
	app, err := a.httpApp()
	if err != nil || app == nil {
		return handover.OwnAddresses(nil, nil), err
	}
	return handover.OwnAddresses(a.servers, slices.Collect(maps.Values(app.Servers))), nil
}

// httpApp returns the HTTP app, nil if there is none.
func (a *App) httpApp() (*caddyhttp.App, error) {
	app, err := a.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("finding the HTTP app: %w", err)
	}
	return app.(*caddyhttp.App), nil
}

// limitGrace sets defaultGrace if the configuration has no grace_period.
func (a *App) limitGrace() error {
	app, err := a.httpApp()
	if app != nil && app.GracePeriod == 0 {
		app.GracePeriod = caddy.Duration(defaultGrace)
	}
	return err
}

// Stop ends the goroutines of the configuration. When the process ends it also closes
// the WebSockets, with close code 1001; a reload leaves them open.
func (a *App) Stop() error {
	if caddy.Exiting() {
		a.shared.sockets.CloseAll()
	}
	// The context of the configuration ends later than this.
	if a.cancel != nil {
		a.cancel()
	}
	a.background.Wait()
	a.invocations.Stop(caddy.Exiting())
	if a.storeConn != nil {
		_ = a.storeConn.Close()
	}
	return nil
}

// Cleanup releases the references to shared state. Requests of this configuration that
// still run may go on using it.
func (a *App) Cleanup() error {
	a.invocations.End()
	return a.shared.release()
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
