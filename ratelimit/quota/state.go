package quota

import (
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// State is how far an organization's quota is used in the current period.
type State struct {
	Period     metering.Period
	Used       int64 // by this process; all of it where nobody else holds grants
	Total      int64 // granted to all holders, or used here without
	Limit      int64 // in force; negative: none
	Overridden bool  // the limit was set by an operator, not by the configuration
	Hard       bool
	Refusing   bool
	Grace      bool // it goes on past the quota
}

// State returns how things are. It asks nobody.
func (m *Manager) State(organization string, allowance *Allowance) (State, error) {
	w, at, err := m.window(organization, allowance)
	if err != nil {
		return State{}, err
	}
	limit, hard := m.hardLimit(organization, allowance)
	_, overridden := (*m.overrides.Load())[organization]
	used := w.used()
	s := State{Period: w.period, Used: used, Total: max(w.total.Load(), used), Limit: limit, Overridden: overridden, Hard: hard}
	if hard {
		s.Refusing = m.refuses(w, allowance, limit, at)
		s.Grace = !s.Refusing && w.since.Load() != 0 && w.unspent.Load() <= 0
	}
	return s, nil
}
