package quota

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrExhausted says that an organization has used its quota, and its grace.
var ErrExhausted = errors.New("the quota is used up")

// Unit is one unit of a quota that Take took. The zero Unit stands for none.
type Unit struct {
	At        time.Time // when it was taken; its record must have this time
	Remaining int64     // at least so many units are left of a hard quota; -1: it is soft
	Limit     int64     // of a hard quota

	window    *window
	ungranted bool // taken without a grant
}

// Return gives the unit back, because nothing was sent. It may be called once.
func (u Unit) Return() {
	switch {
	case u.window == nil:
	case u.ungranted:
		u.window.ungranted.Add(-1)
	default:
		u.window.unspent.Add(1)
	}
}

// hardLimit returns the limit in force, and whether invocations end at it.
func (m *Manager) hardLimit(organization string, allowance *Allowance) (int64, bool) {
	limit := m.effectiveLimit(organization, allowance)
	return limit, allowance.Hard && limit >= 0
}

// Restricted returns for how long an organization's invocations will be refused:
// until the period ends, as far as known; 0 if the next one may pass. It takes
// nothing.
func (m *Manager) Restricted(organization string, allowance *Allowance) time.Duration {
	limit, hard := m.hardLimit(organization, allowance)
	if !hard {
		return 0
	}
	w, at, err := m.window(organization, allowance)
	if err != nil || m.standing(w, allowance, limit) != standingOver {
		return 0
	}
	m.retryInBackground(w, allowance)
	return w.period.End.Sub(at)
}

// retryInBackground starts a claim in the background from time to time, to find out
// whether a window is still used up.
func (m *Manager) retryInBackground(w *window, allowance *Allowance) {
	if m.retryDue(w) {
		m.claimInBackground(w, allowance, true)
	}
}

// Take takes one unit of an organization's quota. The caller records it in the
// ledger, with the time Unit.At, or returns it. Without grants it waits for a claim
// until ctx ends, three seconds at most. The error is ErrExhausted, or wraps
// ErrUnavailable when a grant is needed and the authority does not answer.
func (m *Manager) Take(ctx context.Context, organization string, allowance *Allowance) (Unit, error) {
	if err := m.ledger.AwaitClock(ctx); err != nil {
		return Unit{}, fmt.Errorf("%w: waiting for the shared clock: %w", ErrUnavailable, err)
	}
	for waited := false; ; waited = true {
		limit, hard := m.hardLimit(organization, allowance) // again in each round: a claim may have read an override
		w, at, err := m.window(organization, allowance)
		if err != nil {
			return Unit{}, err
		}
		if !hard {
			w.ungranted.Add(1)
			return Unit{
				At:        at,
				Remaining: -1,
				window:    w,
				ungranted: true,
			}, nil
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
				return Unit{
					At:        at,
					Remaining: left - 1 + unassigned,
					Limit:     limit,
					window:    w,
				}, nil
			}
		}
		switch m.standing(w, allowance, limit) {
		case standingOver:
			m.retryInBackground(w, allowance)
			return Unit{}, ErrExhausted
		case standingGrace:
			m.retryInBackground(w, allowance)
			w.ungranted.Add(1)
			return Unit{
				At:        at,
				Remaining: 0,
				Limit:     limit,
				window:    w,
				ungranted: true,
			}, nil
		case standingOpen:
		}
		if waited && ctx.Err() != nil {
			return w.takeUngranted(allowance, at, w.unanswered())
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

// errSlow is ErrUnavailable of an authority that answers.
var errSlow = fmt.Errorf("%w: it granted nothing in time", ErrUnavailable)

// recoveringError is ErrUnavailable of an authority that lost what it knew of grants.
type recoveringError struct{}

// Error implements error.
func (recoveringError) Error() string {
	return ErrUnavailable.Error() + ": it grants nothing yet: it was replaced or lost data, and waits until each gateway has said what it holds, or this gateway is new to it"
}

// Unwrap has errors.Is find ErrUnavailable.
func (recoveringError) Unwrap() error { return ErrUnavailable }

// unanswered returns why a caller that waited for its turn got nothing.
func (w *window) unanswered() error {
	if w.recovering.Load() {
		return recoveringError{}
	}
	return errSlow
}

// takeUngranted takes a unit without a grant if the allowance is open, for the next
// claim to report. Otherwise it returns the error with which a claim has failed.
func (w *window) takeUngranted(allowance *Allowance, at time.Time, err error) (Unit, error) {
	if !allowance.Open {
		return Unit{}, err
	}
	w.ungranted.Add(1)
	return Unit{
		At:        at,
		Remaining: -1,
		window:    w,
		ungranted: true,
	}, nil
}

// claimInBackground starts a claim that nobody waits for, unless one is under way.
func (m *Manager) claimInBackground(w *window, allowance *Allowance, starved bool) {
	if !w.queued.CompareAndSwap(false, true) {
		return
	}
	copied := *allowance
	m.stopped.Go(func() {
		defer w.queued.Store(false)
		// After an error the next round of maintain, or the next request, tries again.
		_ = m.claim(m.ctx, w, &copied, starved)
	})
}
