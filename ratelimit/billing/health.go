package billing

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// State says whether a part of the engine works.
type State string

// The states, with the names of `status`.
const (
	StateUp       State = "up"
	StateDegraded State = "degraded" // it works, and soon will not
	StateDown     State = "down"     // calls are refused for it
)

// LedgerState returns how recording goes at a time, and why it is not up: it is
// down while calls are answered 503 for it, and degraded while they will be soon.
// The state is "" before Start.
func (e *Engine) LedgerState(now time.Time) (State, error) {
	o := e.opened.Load()
	if o == nil {
		return "", ErrNotOpen
	}
	if err := o.ledger.Writable(); err != nil {
		return StateDown, err
	}
	if err := o.unrecorded.lately(now); err != nil {
		return StateDown, err
	}
	if err := errors.Join(o.copied(), o.ledger.Healthy(), o.ledger.Room()); err != nil {
		return StateDegraded, err
	}
	return StateUp, nil
}

// copied returns metering.ErrCopied once another gateway has sent sums of the ledger.
func (o *opened) copied() error {
	if s := o.shared.Load(); s != nil {
		return s.peers.Copied()
	}
	return nil
}

// QuotaState returns how the granting of quotas goes at a time: it is down while
// calls are answered 503 since nobody can be asked for a unit, degraded while the file of
// the limits that were set is damaged or missing, and the error says why. The state is "" before Start.
func (e *Engine) QuotaState(now time.Time) (State, error) {
	o := e.opened.Load()
	if o == nil {
		return "", ErrNotOpen
	}
	if err := o.ungranted.lately(now); err != nil {
		return StateDown, err
	}
	if err := o.quotas.Damage(); err != nil {
		return StateDegraded, fmt.Errorf("limits of `quota set` may not be known: %w", err)
	}
	return StateUp, nil
}

// NoBillsError says that no bills are made, since a file of theirs is damaged.
type NoBillsError struct{ Damage *durable.DamageError }

// Error implements error.
func (e *NoBillsError) Error() string {
	return "no bills are made, and exporters are told nothing new: " + e.Damage.Error()
}

// Unwrap returns the damage.
func (e *NoBillsError) Unwrap() error { return e.Damage }

// KnownCause marks the error for those who log causes.
func (e *NoBillsError) KnownCause() string { return e.Error() }

// BillsState returns how the making of bills goes: it is degraded while billing.db is
// damaged, and the error names file and remedy. Calls go on and are counted. The state
// is "" before Start.
func (e *Engine) BillsState() (State, error) {
	o := e.opened.Load()
	if o == nil {
		return "", ErrNotOpen
	}
	if err := o.noBills.Load(); err != nil {
		return StateDegraded, err
	}
	return StateUp, nil
}

// note takes in how an update of the lines went.
func (o *opened) note(err error) {
	if damage, ok := errors.AsType[*durable.DamageError](err); ok {
		o.noBills.Store(&NoBillsError{damage})
	} else {
		o.noBills.Store(nil)
	}
}

// troubleFor is for how long after a refused call the ledger, or the granting of
// quotas, counts as down.
const troubleFor = 10 * time.Second

// trouble keeps the cause of the last refused call. It is safe for concurrent use.
type trouble struct{ last atomic.Pointer[refusedCall] }

type refusedCall struct {
	at  time.Time
	err error
}

// note takes in that a call was refused.
func (t *trouble) note(now time.Time, err error) { t.last.Store(&refusedCall{now, err}) }

// lately returns why calls were refused in the last ten seconds, nil if none was.
func (t *trouble) lately(now time.Time) error {
	if last := t.last.Load(); last != nil && now.Sub(last.at) < troubleFor {
		return last.err
	}
	return nil
}

// QuotaStats returns numbers of the quotas in this process; zeros before Start.
func (e *Engine) QuotaStats() quota.Stats {
	o := e.opened.Load()
	if o == nil {
		return quota.Stats{}
	}
	return o.quotas.Stats()
}
