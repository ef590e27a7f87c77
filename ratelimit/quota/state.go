package quota

import "github.com/edgegate/edgegate/ratelimit/metering"

// State is the state of an organization's quota in the current period, as far as
// this process knows it.
type State struct {
	Period     metering.Period
	Used       int64 // units used by this process
	Total      int64 // units that all holders have, or that were used here without a grant
	Limit      int64 // in force; negative: unlimited
	Overridden bool  // the limit was set by an operator, not by the configuration
	Hard       bool  // invocations end at the limit
	Refusing   bool  // Take returns ErrExhausted
	Grace      bool  // the quota is used up, and Grace of the Allowance is not over
}

// State returns the state of an organization's quota. It does not wait for the
// authority; the error is that of reading the ledger.
func (m *Manager) State(organization string, allowance *Allowance) (State, error) {
	w, _, err := m.window(organization, allowance)
	if err != nil {
		return State{}, err
	}
	limit, hard := m.hardLimit(organization, allowance)
	used := w.used()
	s := State{
		Period:     w.period,
		Used:       used,
		Total:      max(w.total.Load(), used),
		Limit:      limit,
		Overridden: m.overridden(organization),
		Hard:       hard,
	}
	if hard {
		standing := m.standing(w, allowance, limit)
		s.Refusing, s.Grace = standing == standingOver, standing == standingGrace
		if s.Refusing {
			m.retryInBackground(w, allowance)
		}
	}
	return s, nil
}

// Stats are numbers of the quotas that this process granted units of lately.
type Stats struct {
	Organizations int   // with an account here
	Exhausted     int   // of which the authority said that nothing is left
	Unspent       int64 // units that are granted to this process and not used
	Ungranted     int64 // units that were used without a grant and not reported yet
}

// Stats returns numbers of the current period.
func (m *Manager) Stats() (s Stats) {
	for _, a := range m.accounts.Range {
		s.Organizations++
		w := a.current.Load()
		if w == nil {
			continue
		}
		s.Unspent += max(0, w.unspent.Load())
		s.Ungranted += max(0, w.ungranted.Load())
		if w.exhausted.Load() != nil && w.unspent.Load() <= 0 {
			s.Exhausted++
		}
	}
	return s
}
