package billing

import (
	"errors"
	"sync/atomic"
	"time"
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
	if err := errors.Join(o.ledger.Healthy(), o.ledger.Room()); err != nil {
		return StateDegraded, err
	}
	return StateUp, nil
}

// QuotaState returns how the granting of quotas goes at a time: it is down while
// calls are answered 503 since nobody can be asked for a unit, and the error says
// why. The state is "" before Start.
func (e *Engine) QuotaState(now time.Time) (State, error) {
	o := e.opened.Load()
	if o == nil {
		return "", ErrNotOpen
	}
	if err := o.ungranted.lately(now); err != nil {
		return StateDown, err
	}
	return StateUp, nil
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
