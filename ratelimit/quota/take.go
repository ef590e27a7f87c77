package quota

import (
	"context"
	"errors"
	"time"
)

// ErrExhausted says that an organization's quota is used up.
var ErrExhausted = errors.New("the quota is used up")

// Unit is one that was taken. The zero Unit is none.
type Unit struct {
	At        time.Time // when; what is recorded of it must have this time
	Remaining int64     // what is left of a hard quota, at least; -1: there is none
	Limit     int64     // of it
	window    *window
	ungranted bool
}

// Return gives the unit back: nothing was sent. It may be called once.
func (u Unit) Return() {
	switch {
	case u.window == nil:
	case u.ungranted:
		u.window.ungranted.Add(-1)
	default:
		u.window.unspent.Add(1)
	}
}

// bound reports whether a limit holds, and which.
func (m *Manager) hardLimit(organization string, allowance *Allowance) (int64, bool) {
	limit := m.effectiveLimit(organization, allowance)
	return limit, allowance.Hard && limit >= 0
}

// Restricted returns how long an organization's invocations will be refused, 0
// if the next one may not be. It takes nothing.
func (m *Manager) Restricted(organization string, allowance *Allowance) time.Duration {
	limit, hard := m.hardLimit(organization, allowance)
	if !hard {
		return 0
	}
	w, at, err := m.window(organization, allowance)
	if err != nil || !m.refuses(w, allowance, limit, at) {
		return 0
	}
	return w.period.End.Sub(at)
}

// refuses reports whether a window is known to have nothing left. It sees to it
// that this is found out again from time to time.
func (m *Manager) refuses(w *window, allowance *Allowance, limit int64, at time.Time) bool {
	since := w.since.Load()
	if since == 0 || w.unspent.Load() > 0 || w.limit.Load() != limit || at.Before(time.UnixMicro(since).Add(allowance.Grace)) {
		return false
	}
	if at.UnixMicro() >= w.retryAt.Load() {
		m.claimInBackground(w, allowance, true)
	}
	return true
}

// Take takes a unit, which must be recorded in the ledger or given back. The
// error is ErrExhausted, or ErrUnavailable where a grant is needed and nobody
// can be asked for it.
func (m *Manager) Take(ctx context.Context, organization string, allowance *Allowance) (Unit, error) {
	for waited := false; ; waited = true {
		limit, hard := m.hardLimit(organization, allowance) // a claim may bring another
		w, at, err := m.window(organization, allowance)
		if err != nil {
			return Unit{}, err
		}
		if !hard {
			w.ungranted.Add(1)
			return Unit{At: at, Remaining: -1, window: w, ungranted: true}, nil
		}
		for w.limit.Load() == limit {
			left := w.unspent.Load()
			if left <= 0 {
				break
			}
			if w.unspent.CompareAndSwap(left, left-1) {
				unassigned := max(0, w.limit.Load()-w.total.Load())
				if left-1 < w.refillBelow() && unassigned > 0 {
					m.claimInBackground(w, allowance, false)
				}
				return Unit{At: at, Remaining: left - 1 + unassigned, Limit: limit, window: w}, nil
			}
		}
		if m.refuses(w, allowance, limit, at) {
			return Unit{}, ErrExhausted
		}
		if w.since.Load() != 0 && w.limit.Load() == limit && w.unspent.Load() <= 0 { // grace
			w.ungranted.Add(1)
			return Unit{At: at, Remaining: 0, Limit: limit, window: w, ungranted: true}, nil
		}
		if waited && ctx.Err() != nil {
			return w.takeUngranted(allowance, at, ErrUnavailable)
		}
		if !waited {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, claimWait)
			defer cancel()
		}
		if err := m.claim(ctx, w, allowance, true); err != nil {
			return w.takeUngranted(allowance, at, err)
		}
		if w.recovering.Load() && w.unspent.Load() <= 0 {
			select {
			case <-ctx.Done():
			case <-time.After(recoveryWait):
			}
		}
	}
}

// without is a unit for which nobody could be asked, if the allowance says so. It is
// settled with the next claim.
func (w *window) takeUngranted(allowance *Allowance, at time.Time, err error) (Unit, error) {
	if !allowance.Open {
		return Unit{}, err
	}
	w.ungranted.Add(1)
	return Unit{At: at, Remaining: -1, window: w, ungranted: true}, nil
}

// ask claims without anybody waiting.
func (m *Manager) claimInBackground(w *window, allowance *Allowance, starved bool) {
	if !w.queued.CompareAndSwap(false, true) {
		return
	}
	copied := *allowance
	m.stopped.Go(func() {
		defer w.queued.Store(false)
		// The next maintainEvery, or request, tries again.
		_ = m.claim(m.ctx, w, &copied, starved)
	})
}
