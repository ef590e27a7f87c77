package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/metrics"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/routing/auth"
)

// scrape reads the values of all metrics. Their names and help texts are package
// metrics'.
func (a *App) scrape() metrics.Values {
	now := time.Now()
	v := metrics.Values{
		Projects:   a.projectMetrics(),
		RateLimits: a.shared.limiter.Stats(),
		Replay:     a.shared.replay.Stats(),
		Tokens:     a.shared.tokens.Stats(),
		InFlight:   metrics.InFlight{Callers: a.shared.inFlight.Len(), Refused: make(map[string]uint64, len(inFlightScopes))},
		Regions:    a.regionMetrics(),
		Exporters:  a.exporterMetrics(),

		Changes:      make(map[metrics.Change]uint64),
		RetriesLeft:  a.network.RetriesLeft(now),
		LogLost:      a.shared.invocations.Lost(),
		SpansDropped: a.tracer.Dropped(),
		Loads:        loads.Load(),
	}
	for change, n := range a.shared.transitions.Changes() {
		v.Changes[metrics.Change{Kind: string(change.Kind), State: change.To}] = n
	}
	if a.counter != nil {
		// Another configuration may have set it, and then not have started.
		a.shared.requests.TopProjects(a.TopProjects)
		v.Requests = a.shared.requests
	}
	v.Dropped = a.shared.events.Dropped()
	keys := a.shared.keys.Status()
	v.KeySets = metrics.KeySets{Sets: keys.Sets, Failing: keys.Failing, OldestAge: keys.OldestAge}
	for i, scope := range inFlightScopes {
		v.InFlight.Refused[scope] = a.shared.inFlight.refused[i].Load()
	}
	if ledger := a.engine.Ledger(); ledger != nil {
		bills, _ := a.engine.BillsState()
		state := func() billing.State { s, _ := a.engine.LedgerState(now); return s }
		v.Ledger = ledgerMetrics(ledger, state)
		v.Ledger.NoBills = bills == billing.StateDegraded
		quotas := a.engine.QuotaStats()
		granting, _ := a.engine.QuotaState(now)
		v.Quotas = metrics.Quotas{
			Organizations: quotas.Organizations,
			Exhausted:     quotas.Exhausted,
			Held:          quotas.Unspent,
			Unreported:    quotas.Ungranted,
			Failing:       granting == billing.StateDown,
		}
	}
	v.Ready = v.Ledger.SyncAge < hangs && a.Health().Ready
	if shared := a.engine.Shared(); shared != nil {
		mirror := shared.Mirror()
		v.Store = metrics.Store{Unflushed: mirror.Age(), ClockOffset: mirror.ClockOffset(), Corrected: mirror.Differed()}
	}
	v.Store.Down = slices.ContainsFunc(a.StoreConditions(), func(c logs.Condition) bool { return c.State == string(redisconn.Down) })
	return v
}

// hangs is the age of the last sync from which on the disk counts as hanging.
const hangs = 5 * time.Second

// ledgerMetrics reads what is known of a ledger. While its disk hangs everything else
// would wait for it: a scrape must not.
func ledgerMetrics(ledger interface {
	SyncAge() time.Duration
	Healthy() error
	Deferred() int
}, state func() billing.State,
) metrics.Ledger {
	l := metrics.Ledger{SyncAge: ledger.SyncAge(), Degraded: true}
	if l.SyncAge < hangs {
		l.Writable, l.Waiting, l.Degraded = ledger.Healthy() == nil, ledger.Deferred(), state() != billing.StateUp
	}
	return l
}

func (a *App) projectMetrics() metrics.Projects {
	status := a.ProjectStatus()
	p := metrics.Projects{
		Projects:  status.Projects,
		Functions: status.Functions,
		OverPlan:  status.OverPlan,
		Problems:  status.ProblemsTotal,
		Stale:     status.Error != nil,
	}
	if status.LoadedAt != nil {
		p.LoadedAt = *status.LoadedAt
	}
	if a.keeper != nil {
		p.Failures = a.keeper.current().failures
	}
	return p
}

func (a *App) regionMetrics() []metrics.Region {
	view := a.network.View()
	list := make([]metrics.Region, 0, len(view.Regions))
	for i := range view.Regions {
		r := &view.Regions[i]
		m := metrics.Region{
			Name:       r.Region.Name,
			State:      r.State,
			InFlight:   r.Load.InFlight(),
			Backends:   len(r.Backends),
			Refused:    roomMetrics(&r.Load.Calls).Refused,
			WebSockets: roomMetrics(&r.Load.Sockets),
		}
		m.ProbesPassed, m.ProbesFailed = a.network.State(r.Region).Probes()
		if r.Known {
			m.RTT = new(r.Distance.RTT)
		}
		if a.network.State(r.Region).Drain().Active() {
			m.Drained = r.Drained
		}
		if _, known := r.Load.Factor(); known {
			m.Capacity = new(r.Load.Capacity())
		}
		for _, b := range slices.Concat(r.Backends, r.Others) {
			if b.Open {
				m.BreakersOpen++
			}
			switch {
			case b.Phase == regions.PhaseLeaving:
				m.BackendsLeaving++
			case b.Phase == regions.PhaseEntering:
				m.BackendsEntering++
			case b.Phase == "" && b.State == regions.StateDown:
				m.BackendsDown++
			}
		}
		for _, s := range r.Sources {
			if s.Err != nil {
				m.ListsFailing++
			}
			if age := view.At.Sub(s.ListedAt); !s.ListedAt.IsZero() && (m.ListAge == nil || age > *m.ListAge) {
				m.ListAge = &age
			}
		}
		list = append(list, m)
	}
	return list
}

func roomMetrics(r *capacity.Room) metrics.Room {
	room := statusRoom(r)
	return metrics.Room{Held: room.Held, Capacity: room.Capacity, Refused: room.Refused}
}

func (a *App) exporterMetrics() []metrics.Exporter {
	answer, err := a.engine.Exporters()
	if err != nil {
		return nil // it is not open
	}
	list := make([]metrics.Exporter, 0, len(answer.Exporters))
	for _, e := range answer.Exporters {
		m := metrics.Exporter{
			Name:       e.Name,
			Failing:    e.State == billing.ExporterFailing,
			Due:        e.Due,
			Unanswered: e.Unanswered,
			Rejected:   e.Rejected,
		}
		if e.WorkedAt != nil {
			m.LastSuccess = *e.WorkedAt
		}
		for _, n := range e.Held {
			m.Held += n
		}
		list = append(list, m)
	}
	return list
}

// loads counts the configurations that were put into force.
var loads atomic.Uint64

// checkMetrics returns what is wrong with the options of metrics.
func (a *App) checkMetrics() error {
	switch {
	case a.TopProjects < 0 || a.TopProjects > metrics.MostTopProjects:
		return fmt.Errorf("top_projects: must be a whole number from 0 to %d", metrics.MostTopProjects)
	case a.TopProjects > 0 && !a.countsRequests():
		return errors.New("top_projects: `request_metrics off` counts no requests; remove one of the two")
	}
	return nil
}

func (a *App) countsRequests() bool { return a.RequestMetrics == nil || *a.RequestMetrics }

// countRequests makes the counter of this configuration's requests.
func (a *App) countRequests(set *regions.Set) {
	if !a.countsRequests() {
		return
	}
	names := make([]string, 0, len(set.All()))
	for _, r := range set.All() {
		names = append(names, r.Name)
	}
	a.counter = a.shared.requests.Counter(names)
}

// count counts a call that has ended in metrics.
func (c *call) count() {
	if c.handler.app == nil || c.handler.app.counter == nil {
		return
	}
	ended := metrics.Ended{
		Region:   c.region(),
		Outcome:  string(c.record.ending),
		Status:   c.meter.status,
		Duration: c.record.duration,
		Own:      c.record.duration,
		Socket:   c.socket != nil,
	}
	if ended.Region != "" {
		ended.Reason = c.reason()
	}
	if c.exchange != nil {
		ended.Attempts = c.exchange.Attempts
	}
	if sent := c.record.sent; !sent.IsZero() {
		head := c.record.head
		if head.IsZero() {
			head = c.start.Add(c.record.duration)
		}
		ended.Own, ended.Backend = sent.Sub(c.start), head.Sub(sent)
	}
	if c.inv.Project != nil {
		ended.Project = c.inv.Project.Ref
	}
	if c.refusal != nil {
		ended.Code = c.refusal.Code
	}
	ended.Method, ended.Failure = c.inv.Identity.Method, c.authFailure()
	ended.Checked = ended.Method != "" || ended.Failure != nil
	c.handler.app.counter.Count(&ended)
}

// authFailure returns why the credentials of the call were refused; nil if they were
// not.
func (c *call) authFailure() error {
	if c.refusal == nil || c.refusal.Status != http.StatusUnauthorized && !errors.Is(c.refusal.Cause, auth.ErrBusy) {
		return nil
	}
	return c.refusal.Cause
}
