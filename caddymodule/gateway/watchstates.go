package gateway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/edgegate/edgegate/caddymodule/events"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
)

const (
	// statesEvery is the interval at which states are compared with the ones before.
	statesEvery = 250 * time.Millisecond

	// quotasEvery is that of what organizations have used of their quotas, for which the
	// sums of all gateways are read.
	quotasEvery = 30 * time.Second
)

// watchStates starts to log every change of state of regions, backends, breakers,
// stores, the ledger, quotas, projects, key sets, exporters and of the gateway itself,
// and to keep them as events, until ctx is done. Requests are decided by the same
// values, and `edgegate status` shows them.
func (a *App) watchStates(ctx context.Context) {
	config := events.Config{Dir: a.dataDir(), Gateway: a.gatewayID(), Logger: a.logger}
	if a.storeConn != nil {
		config.Shared = a.storeConn
	}
	a.shared.events.Use(config)
	a.background.Go(func() { a.shared.events.Run(ctx, config) })
	a.background.Go(func() { repeatEvery(ctx, statesEvery, func() { a.observeStates(time.Now()) }) })
	a.background.Go(func() { repeatEvery(ctx, quotasEvery, func() { a.observeQuotas(ctx) }) })
}

// repeatEvery calls do at once and then at an interval, until ctx is done.
func repeatEvery(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// addEvent returns what makes a change of state an event.
func addEvent(log *events.Log) func(logs.Transition) {
	return func(t logs.Transition) {
		log.Add(events.Change{
			What: string(t.Kind),
			Name: t.Name,
			From: t.From,
			To:   t.To,
			Why:  t.Why,
		})
	}
}

// Events returns what happened to this gateway and, with a shared store, to the others.
func (a *App) Events() *events.Log { return a.shared.events }

func (a *App) observeStates(now time.Time) {
	view := a.network.View()
	for _, seen := range []logs.Observation{
		{Kind: logs.KindBackend, All: backendConditions(view)},
		{Kind: logs.KindBreaker, All: breakerConditions(view)},
		{Kind: logs.KindRegion, All: regionConditions(view)},
		{Kind: logs.KindBackendList, All: listConditions(view)},
		{Kind: logs.KindStore, All: a.StoreConditions()},
		{Kind: logs.KindLedger, All: a.ledgerConditions(now)},
		{Kind: logs.KindQuotas, All: a.quotaConditions(now)},
		{Kind: logs.KindBills, All: a.billsConditions()},
		{Kind: logs.KindClock, All: a.clockConditions()},
		{Kind: logs.KindProjects, All: a.projectConditions()},
		{Kind: logs.KindKeySet, All: a.keySetConditions()},
		{Kind: logs.KindExporter, All: a.exporterConditions()},
		{Kind: logs.KindHealth, All: a.healthConditions()},
	} {
		a.shared.transitions.Observe(a.logger, now, seen)
	}
}

// backendConditions returns the conditions of all backends that get calls, or may get
// some: of those that leave, nothing is expected any more.
func backendConditions(view *regions.View) (all []logs.Condition) {
	for r, b := range listedBackends(view) {
		all = append(all, logs.Condition{Name: backendName(r, b), State: string(b.State), Why: b.Why})
	}
	return all
}

func breakerConditions(view *regions.View) (all []logs.Condition) {
	for r, b := range listedBackends(view) {
		c := logs.Condition{Name: backendName(r, b), State: "closed"}
		if b.Open {
			c.State, c.Why = "open", b.Why
		}
		all = append(all, c)
	}
	return all
}

// listedBackends yields the backends of all regions that are in use, or would be: new
// ones, those of every priority, and those that serve on until their successors work.
func listedBackends(view *regions.View) iter.Seq2[*regions.RegionView, *regions.BackendView] {
	return func(yield func(*regions.RegionView, *regions.BackendView) bool) {
		for i := range view.Regions {
			r := &view.Regions[i]
			for j := range r.Backends {
				if !yield(r, &r.Backends[j]) {
					return
				}
			}
			for j := range r.Others {
				if b := &r.Others[j]; b.Phase != regions.PhaseLeaving && !yield(r, b) {
					return
				}
			}
		}
	}
}

// backendName returns the region and the address of a backend. Over https it adds the
// name that the certificate must be for, unless it is in the address: two backends may
// have one address under two names.
func backendName(r *regions.RegionView, b *regions.BackendView) string {
	name := r.Region.Name + " " + b.Address
	scheme, rest, _ := strings.Cut(b.Key, " ")
	if scheme != "https" {
		return name
	}
	host := rest[strings.LastIndexByte(rest, ' ')+1:]
	if strings.EqualFold(b.Address, "https://"+host) {
		return name
	}
	return name + " " + host
}

func regionConditions(view *regions.View) (all []logs.Condition) {
	for i := range view.Regions {
		r := &view.Regions[i]
		all = append(all, logs.Condition{Name: r.Region.Name, State: string(r.State), Why: regionCause(r)})
	}
	return all
}

// regionCause returns the reason for the state of a region, "" if it is up or unknown.
func regionCause(r *regions.RegionView) string {
	switch r.State {
	case regions.StateDown:
		why := fmt.Sprintf("%d of %d backends accept calls", r.Healthy, len(r.Backends))
		for _, b := range r.Backends {
			if b.Why != "" {
				return why + "; " + b.Why
			}
		}
		return why
	case regions.StateDegraded:
		return "slow, or some of its backends fail"
	case regions.StateDraining, regions.StateDrained:
		return "ordered by `edgegate drain`"
	case regions.StateUnknown, regions.StateUp:
	}
	return ""
}

// listConditions returns the condition of each source of backends: stale while its
// look-ups fail and its last list is in use, down while there is none, incomplete while
// a part of its list could not be looked up.
func listConditions(view *regions.View) (all []logs.Condition) {
	for i := range view.Regions {
		r := &view.Regions[i]
		for _, s := range r.Sources {
			c := logs.Condition{Name: r.Region.Name + " " + s.Name, State: string(regions.StateUp)}
			switch {
			case s.Err != nil && s.ListedAt.IsZero():
				c.State, c.Why = string(regions.StateDown), "there is no list of backends yet: "+logs.FirstLine(s.Err)
			case s.Err != nil:
				c.State, c.Why = "stale", fmt.Sprintf("the last list, of %d backends, stays in use: %s", s.Backends, logs.FirstLine(s.Err))
			case s.Incomplete != nil:
				c.State, c.Why = "incomplete", fmt.Sprintf("of the list, of %d backends, a part could not be looked up: %s", s.Backends, logs.FirstLine(s.Incomplete))
			case s.ListedAt.IsZero():
				c.State = string(regions.StateUnknown)
			}
			all = append(all, c)
		}
	}
	return all
}

// redisConns returns the connections to Redis of this configuration: of the billing
// engine, of heartbeats and drain orders, and of the source of projects.
func (a *App) redisConns() (conns []*redisconn.Conn) {
	if s := a.engine.Shared(); s != nil {
		conns = append(conns, s.Conn())
	}
	if a.storeConn != nil {
		conns = append(conns, a.storeConn)
	}
	if user, ok := a.source.(StoreSource); ok {
		if conn := user.Connection(); conn != nil {
			conns = append(conns, conn)
		}
	}
	return conns
}

// StoreConditions returns one condition for each Redis. A Redis with several
// connections is down if one of them is.
func (a *App) StoreConditions() (all []logs.Condition) {
	for _, conn := range a.redisConns() {
		state := conn.State()
		c := logs.Condition{Name: conn.Config().Location(), State: string(state.Health), Why: logs.StoreCause(state.Err)}
		i := slices.IndexFunc(all, func(other logs.Condition) bool { return other.Name == c.Name })
		switch {
		case i < 0:
			all = append(all, c)
		case all[i].State != string(redisconn.Down) && (state.Health == redisconn.Down || all[i].State == string(redisconn.Unknown)):
			all[i] = c
		}
	}
	return all
}

func (a *App) ledgerConditions(now time.Time) []logs.Condition {
	state, err := a.engine.LedgerState(now)
	if state == "" {
		return nil // the ledger is not open
	}
	return []logs.Condition{{Name: a.engine.Dir(), State: string(state), Why: logs.StoreCause(err)}}
}

func (a *App) quotaConditions(now time.Time) []logs.Condition {
	state, err := a.engine.QuotaState(now)
	if state == "" {
		return nil // the ledger is not open
	}
	return []logs.Condition{{Name: "quotas", State: string(state), Why: logs.StoreCause(err)}}
}

func (a *App) billsConditions() []logs.Condition {
	state, err := a.engine.BillsState()
	if state == "" {
		return nil // the ledger is not open
	}
	return []logs.Condition{{Name: "bills", State: string(state), Why: logs.StoreCause(err)}}
}

// clockConditions returns the condition of the clocks of a shared store and this
// machine: degraded while they are too far apart.
func (a *App) clockConditions() []logs.Condition {
	shared := a.engine.Shared()
	if shared == nil {
		return nil
	}
	c := logs.Condition{Name: "clock", State: string(regions.StateUp)}
	if offset := shared.Mirror().ClockOffset(); offset.Abs() > metering.MaxClockOffset {
		c.State = string(regions.StateDegraded)
		c.Why = fmt.Sprintf("the clocks of this machine and of Redis are %s apart; calls are counted by that of Redis", offset.Abs().Round(time.Second))
	}
	return []logs.Condition{c}
}

func (a *App) projectConditions() []logs.Condition {
	if a.keeper == nil {
		return nil
	}
	c := logs.Condition{Name: a.source.Location(), State: string(regions.StateUp)}
	switch state := a.keeper.current(); {
	case state.err != nil && state.loadedAt.IsZero():
		c.State, c.Why = string(regions.StateDown), "none could be loaded yet: "+logs.FirstLine(state.err)
	case state.err != nil:
		c.State, c.Why = "stale", "the latest are not in force: "+logs.FirstLine(state.err)
	case state.loadedAt.IsZero():
		c.State = string(regions.StateUnknown)
	}
	return []logs.Condition{c}
}

func (a *App) keySetConditions() (all []logs.Condition) {
	for _, set := range a.shared.keys.Status().Remotes {
		c := logs.Condition{Name: set.Location, State: string(regions.StateUp)}
		switch {
		case set.Error != "" && set.FetchedAt.IsZero():
			c.State, c.Why = string(regions.StateDown), "it could never be fetched: "+logs.FirstLine(errors.New(set.Error))
		case set.Error != "":
			c.State, c.Why = "stale", "the last good one serves: "+logs.FirstLine(errors.New(set.Error))
		case set.FetchedAt.IsZero():
			c.State = string(regions.StateUnknown)
		case len(set.Remarks) > 0:
			c.State, c.Why = string(regions.StateDegraded), strings.Join(set.Remarks, "; ")
		}
		all = append(all, c)
	}
	return all
}

func (a *App) exporterConditions() (all []logs.Condition) {
	answer, err := a.engine.Exporters()
	if err != nil {
		return nil // it is not open
	}
	for _, e := range answer.Exporters {
		c := logs.Condition{Name: e.Name, State: e.State}
		if e.Error != nil {
			c.Why = logs.FirstLine(errors.New(*e.Error))
		}
		all = append(all, c)
	}
	return all
}

func (a *App) healthConditions() []logs.Condition {
	answer := a.Health()
	c := logs.Condition{Name: "gateway", State: "ready"}
	if !answer.Ready {
		c.State = "not_ready"
		words := make([]string, len(answer.Reasons))
		for i, reason := range answer.Reasons {
			words[i] = string(reason)
		}
		c.Why = strings.Join(words, ", ")
	}
	return []logs.Condition{c}
}

// observeQuotas logs which organizations have come near the end of their quotas, and
// which are refused. What is known in part is not judged.
func (a *App) observeQuotas(ctx context.Context) {
	answer, err := a.engine.Quota(ctx, "")
	if err != nil || answer.Partial != "" {
		return
	}
	all := make([]logs.Condition, 0, len(answer.Organizations))
	for _, o := range answer.Organizations {
		c := logs.Condition{Name: o.ID, State: string(o.State)}
		if o.State != billing.QuotaOK && o.Limit != nil {
			c.Why = fmt.Sprintf("%d of %d invocations of %s are used", o.Used, *o.Limit, o.Period.ID)
		}
		all = append(all, c)
	}
	a.shared.transitions.Observe(a.logger, time.Now(), logs.Observation{Kind: logs.KindQuota, All: all})
}

// watchCertificates logs when certificates cannot be obtained or renewed, and when that
// works again, as Caddy says.
func (a *App) watchCertificates(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("finding the events app: %w", err)
	}
	return app.(*caddyevents.App).Subscribe(&caddyevents.Subscription{
		Events:   []string{"cert_failed", "cert_obtained"},
		Handlers: []caddyevents.Handler{certificateWatch{a}},
	})
}

// certificateWatch is told by Caddy of certificates.
type certificateWatch struct{ app *App }

// Handle implements caddyevents.Handler.
func (w certificateWatch) Handle(_ context.Context, e caddy.Event) error {
	name, _ := e.Data["identifier"].(string)
	c := logs.Condition{Name: name, State: "valid"}
	if e.Name() == "cert_failed" {
		c.State = "failing"
		if err, ok := e.Data["error"].(error); ok {
			c.Why = logs.FirstLine(err)
		}
	}
	w.app.shared.transitions.Enter(w.app.logger, time.Now(), logs.Observation{Kind: logs.KindCertificate, All: []logs.Condition{c}})
	return nil
}
