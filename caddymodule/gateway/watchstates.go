package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
)

// statesEvery is how often it is looked for changes of state.
const statesEvery = 250 * time.Millisecond

// watchStates logs every change of the states that calls depend on until ctx is
// done: regions, backends, stores, the ledger, quotas, projects and key sets. They
// are the same values that requests are decided by and that `status` shows.
func (a *App) watchStates(ctx context.Context) {
	tick := time.NewTicker(statesEvery)
	defer tick.Stop()
	for {
		a.observeStates(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *App) observeStates(now time.Time) {
	t, log := a.lease.transitions, a.logger
	view := a.network.View()
	t.observe(log, now, kindBackend, backendConditions(view))
	t.observe(log, now, kindBreaker, breakerConditions(view))
	t.observe(log, now, kindRegion, regionConditions(view))
	t.observe(log, now, kindStore, a.storeConditions())
	t.observe(log, now, kindLedger, a.ledgerConditions(now))
	t.observe(log, now, kindQuotas, a.quotaConditions(now))
	t.observe(log, now, kindProjects, a.projectConditions())
	t.observe(log, now, kindKeySet, a.keySetConditions())
}

func backendConditions(view *regions.View) (all []condition) {
	for i := range view.Regions {
		r := &view.Regions[i]
		for _, b := range r.Backends {
			all = append(all, condition{r.Region.Name + " " + b.Address, string(b.State), b.Why})
		}
	}
	return all
}

func breakerConditions(view *regions.View) (all []condition) {
	for i := range view.Regions {
		r := &view.Regions[i]
		for _, b := range r.Backends {
			c := condition{name: r.Region.Name + " " + b.Address, state: "closed"}
			if b.Open {
				c.state, c.why = "open", b.Why
			}
			all = append(all, c)
		}
	}
	return all
}

func regionConditions(view *regions.View) (all []condition) {
	for i := range view.Regions {
		r := &view.Regions[i]
		all = append(all, condition{r.Region.Name, string(r.State), regionCause(r)})
	}
	return all
}

// regionCause says why a region is in the state that it is in, as far as that
// wants a reason.
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

// redisConns are the connections to Redis that the configuration uses: for sums
// and grants, for what an operator ordered, and for projects.
func (a *App) redisConns() (conns []*redisconn.Conn) {
	if s := a.engine.Shared(); s != nil {
		conns = append(conns, s.Conn())
	}
	if a.storeConn != nil {
		conns = append(conns, a.storeConn)
	}
	if user, ok := a.source.(storeUser); ok {
		if conn := user.connection(); conn != nil {
			conns = append(conns, conn)
		}
	}
	return conns
}

// storeConditions is one condition a Redis, however many connections lead there:
// it is down if any of them says so.
func (a *App) storeConditions() (all []condition) {
	for _, conn := range a.redisConns() {
		state := conn.State()
		c := condition{name: conn.Config().Location(), state: string(state.Health), why: storeCause(state.Err)}
		i := slices.IndexFunc(all, func(other condition) bool { return other.name == c.name })
		switch {
		case i < 0:
			all = append(all, c)
		case all[i].state != string(redisconn.Down) && (state.Health == redisconn.Down || all[i].state == string(redisconn.Unknown)):
			all[i] = c
		}
	}
	return all
}

func (a *App) ledgerConditions(now time.Time) []condition {
	state, err := a.engine.LedgerState(now)
	if state == "" {
		return nil // it is not open
	}
	return []condition{{a.engine.Dir(), string(state), storeCause(err)}}
}

func (a *App) quotaConditions(now time.Time) []condition {
	state, err := a.engine.QuotaState(now)
	if state == "" {
		return nil // they are not open
	}
	return []condition{{"quotas", string(state), storeCause(err)}}
}

func (a *App) projectConditions() []condition {
	if a.keeper == nil {
		return nil
	}
	c := condition{name: a.source.Location(), state: string(regions.StateUp)}
	switch state := a.keeper.current(); {
	case state.err != nil && state.loadedAt.IsZero():
		c.state, c.why = string(regions.StateDown), "none could be loaded yet: "+firstLine(state.err)
	case state.err != nil:
		c.state, c.why = "stale", "the latest are not in force: "+firstLine(state.err)
	case state.loadedAt.IsZero():
		c.state = string(regions.StateUnknown)
	}
	return []condition{c}
}

func (a *App) keySetConditions() (all []condition) {
	for _, set := range a.lease.keys.Status().Remotes {
		c := condition{name: set.Location, state: string(regions.StateUp)}
		switch {
		case set.Error != "" && set.FetchedAt.IsZero():
			c.state, c.why = string(regions.StateDown), "it could never be fetched: "+firstLine(errors.New(set.Error))
		case set.Error != "":
			c.state, c.why = "stale", "the last good one serves: "+firstLine(errors.New(set.Error))
		case set.FetchedAt.IsZero():
			c.state = string(regions.StateUnknown)
		case len(set.Remarks) > 0:
			c.state, c.why = string(regions.StateDegraded), strings.Join(set.Remarks, "; ")
		}
		all = append(all, c)
	}
	return all
}
