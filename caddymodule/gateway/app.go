package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/metrics"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/locate"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	caddy.RegisterModule(new(App))
}

// defaultGrace bounds how long the process waits for streams and WebSockets
// when it stops and no grace_period is set. Caddy's own default is to wait
// forever, which a stream that never ends would make come true.
const defaultGrace = 20 * time.Second

// App is the gateway: the regions, and the projects whose functions run there.
// Sites hand requests to it with the handler of the same name.
type App struct {
	// The domain of which <ref>.<apex> and <ref>.functions.<apex> are the
	// shared hosts. Optional with one project.
	Apex string `json:"apex,omitempty"`

	// Where this gateway is. Without it requests that name no region go to
	// the regions in configuration order.
	Location *Location `json:"location,omitempty"`

	// How a region is chosen for requests that name none.
	Nearest *Nearest `json:"nearest,omitempty"`

	// Requests whose x-sb-debug header has this secret are told how their region
	// was chosen. May have {env.X} in it. Default: nobody is.
	DebugSecret string `json:"debug_secret,omitempty"`

	// How the place of clients is found.
	Locate *Locate `json:"locate,omitempty"`

	// What may be sent to a second backend.
	Retry *Retry `json:"retry,omitempty"`

	// The regions, in the order of preference when nothing else decides.
	Regions []*Region `json:"regions,omitempty"`

	// How long a backend may be silent. Default: 150s.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// The largest request body, in bytes. Default: no limit.
	MaxBody int64 `json:"max_body,omitempty"`

	// What callers can make the gateway hold.
	Memory *Memory `json:"memory,omitempty"`

	// The only project, answering on every host of the sites.
	Project *Project `json:"project,omitempty"`

	// Where many projects come from, instead of `project`.
	ProjectsRaw json.RawMessage `json:"projects,omitempty" caddy:"namespace=edge_functions.projects inline_key=source"`

	// Whether `jwks_url` of projects from a source may lead to addresses that are not
	// of the internet. The one project's own always may.
	JWKSPrivate bool `json:"jwks_private,omitempty"`

	// The currency of all prices, by its code of ISO 4217. Default: USD.
	Currency string `json:"currency,omitempty"`

	// Plans that differ from the built-in ones, or are not among them.
	Plans map[string]*Plan `json:"plans,omitempty"`

	// How fast invocations may come.
	RateLimits []*RateLimit `json:"rate_limits,omitempty"`

	// How many calls of one project, function or client may run at once.
	InFlight *InFlight `json:"in_flight,omitempty"`

	// How much of a region's capacity one of many projects may hold, in percent.
	// Default: 80.
	CapacityShare int64 `json:"capacity_share,omitempty"`

	// Where lines of usage go as they become final.
	ExportersRaw []json.RawMessage `json:"exporters,omitempty" caddy:"namespace=edge_functions.exporters inline_key=exporter"`

	// Where gateways share what they know.
	Store *Store `json:"store,omitempty"`

	ctx        caddy.Context
	logger     *zap.Logger
	shared     *sharedState
	engine     *billing.Engine
	network    *regions.Network
	storeConn  *redisconn.Conn   // to the shared store; nil without one
	drains     *fleet.DrainStore // orders to drain regions
	locator    *locate.Locator   // nil: clients are nowhere
	debugHash  []byte            // SHA-256 of the debug secret; nil without one
	retries    regions.RetryPolicy
	pipeline   *routing.Pipeline
	limits     []scopedLimit
	inFlight   []inFlightCap
	rates      []*rate.Limit // of the limits, in the same order
	ratePolicy string        // the header of the limits
	exporters  []Exporter
	loadedAt   time.Time
	single     *projects.Project // nil with a source
	problems   []projects.Problem
	keyFile    string // of the single project; must be there at start
	catalogue  routing.Projects
	source     ProjectSource // nil with a single project
	keeper     *projectKeeper
	missing    error         // why a source that can be read at once has nothing
	started    chan struct{} // closed when Start has ended
	cancel     context.CancelFunc
	background sync.WaitGroup // ends after cancel
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

// Provision checks the configuration and joins it with the state that outlives
// it. It opens nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger, a.loadedAt = ctx, ctx.Logger(), time.Now()
	a.started = make(chan struct{})
	if logs.Exposes(a.logger.Core()) {
		a.logger.Warn("secrets are logged: " + logs.ExposedMessage + "; " + logs.ExposedRemedy)
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
	// Caddy cleans up after a provisioning that failed, and so gives it back.
	a.shared = acquireShared()
	a.engine = a.shared.engine(a.dataDir())
	if err := a.provisionCatalogue(ctx, set); err != nil {
		return err
	}
	a.network = regions.NewNetwork(regions.NetworkConfig{Set: set, States: stateStore{a.shared}, Location: location})
	a.pipeline = routing.NewPipeline(a.catalogue, a.network, routing.Settings{
		IdleTimeout:   time.Duration(a.IdleTimeout),
		MaxBody:       a.MaxBody,
		Nearest:       nearest,
		CapacityShare: a.CapacityShare,
	})
	return metrics.Register(ctx.GetMetricsRegistry(), a.scrape)
}

// Start begins to follow the projects, and bounds how long a stopping process
// waits for its last requests where the user set no grace_period.
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
	if err := begin(ctx); err != nil {
		cancel()
		return err
	}
	a.background.Go(func() { a.shared.keys.Prefetch(ctx) })
	a.background.Go(func() { a.network.Run(ctx, security) })
	a.background.Go(func() { a.closeDrained(ctx) })
	a.background.Go(func() { a.watchStates(ctx) })
	if a.locator != nil {
		a.background.Go(func() { a.locator.Run(ctx) })
	}
	if a.storeConn != nil {
		a.background.Go(func() { a.followFleet(ctx) })
	}
	a.applyMemory()
	a.engine.Use(billingCatalogue{a}) // not that of a configuration that does not start
	return nil
}

// startWait bounds how long requests wait for the first start.
const startWait = 10 * time.Second

// awaitStart returns when a configuration is in force. Caddy starts apps in any
// order: the servers may be there first, and with them requests.
func (a *App) awaitStart(ctx context.Context) {
	if a.engine.InUse() {
		return
	}
	select {
	case <-a.started:
	case <-ctx.Done():
	case <-time.After(startWait):
	}
}

func (a *App) limitGrace() error {
	server, err := a.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the HTTP app: %w", err)
	}
	if app := server.(*caddyhttp.App); app.GracePeriod == 0 {
		app.GracePeriod = caddy.Duration(defaultGrace)
	}
	return nil
}

// Stop says goodbye to the WebSockets when the process ends; a reload leaves
// them alone.
func (a *App) Stop() error {
	if caddy.Exiting() {
		a.shared.sockets.CloseAll()
	}
	// The context of the configuration ends later than this.
	if a.cancel != nil {
		a.cancel()
	}
	a.background.Wait()
	if a.storeConn != nil {
		_ = a.storeConn.Close()
	}
	return nil
}

// Cleanup gives the handles on shared state back. Requests of this configuration may still run:
// what they use stays valid.
func (a *App) Cleanup() error {
	return a.shared.release()
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
