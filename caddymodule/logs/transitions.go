package logs

import (
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Kind is a kind of things whose changes of state are logged.
type Kind string

// The kinds.
const (
	KindRegion  Kind = "region"
	KindBackend Kind = "backend"
	KindBreaker Kind = "breaker"
	// KindBackendList is of the lists of backends that sources give.
	KindBackendList Kind = "backend_list"
	KindStore       Kind = "store"
	KindLedger      Kind = "ledger"
	KindQuotas      Kind = "quotas"
	KindBills       Kind = "bills"
	KindClock       Kind = "clock"
	KindProjects    Kind = "projects"
	KindKeySet      Kind = "key_set"
)

// Condition is the state of one thing at a moment.
type Condition struct {
	Name  string
	State string
	Why   string // in words, without addresses of clients and without secrets; may be ""
}

// Observation is the state of all things of a kind.
type Observation struct {
	Kind Kind
	All  []Condition
}

// Transitions logs each change of state as one line: what changed, from which
// state to which, why, and since when it was in the one before. It outlives
// configurations, since a reload changes no state. It is safe for concurrent use.
type Transitions struct {
	mu      sync.Mutex // guards states and changes
	states  map[Kind]map[string]entered
	changes map[Change]uint64
}

// Change is a change of the state of something of a kind.
type Change struct {
	Kind Kind
	To   string // the state it entered
}

// entered is a state and when it began.
type entered struct {
	state string
	since time.Time
}

// NewTransitions returns Transitions that have observed nothing.
func NewTransitions() *Transitions {
	return &Transitions{states: make(map[Kind]map[string]entered), changes: make(map[Change]uint64)}
}

// Changes returns how many changes there were.
func (t *Transitions) Changes() map[Change]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.changes)
}

// Observe compares the states of all things of a kind with those of the last
// observation and logs what changed. A thing that is not there any more is
// forgotten without a line: it was removed from the configuration. A thing that
// is seen for the first time counts as having been in the first state of its
// kind, so that what is logged does not depend on how soon it is observed.
func (t *Transitions) Observe(logger *zap.Logger, now time.Time, seen Observation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.states[seen.Kind]
	after := make(map[string]entered, len(seen.All))
	for _, c := range seen.All {
		was, known := before[c.Name]
		if !known {
			was = entered{firstState(seen.Kind), now}
		}
		if was.state == c.State {
			after[c.Name] = was
			continue
		}
		after[c.Name] = entered{c.State, now}
		t.changes[Change{seen.Kind, c.State}]++
		if line := logger.Check(levelOf(c.State), "state changed"); line != nil {
			line.Write(
				zap.String("what", string(seen.Kind)), zap.String("name", c.Name),
				zap.String("from", was.state), zap.String("to", c.State), zap.String("why", c.Why),
				zap.Time("since", was.since.UTC()), zap.Duration("lasted", now.Sub(was.since).Round(time.Millisecond)),
			)
		}
	}
	t.states[seen.Kind] = after
}

// firstState returns the state that things of a kind begin in. Most are unknown
// at first; breakers, the ledger, quotas, bills and the clock work until something fails.
func firstState(kind Kind) string {
	switch kind {
	case KindBreaker:
		return "closed"
	case KindLedger, KindQuotas, KindBills, KindClock:
		return "up"
	default:
		return "unknown"
	}
}

// levelOf returns error for states in which calls fail, warn for those that may
// lead to it, and info for all others.
func levelOf(state string) zapcore.Level {
	switch {
	case slices.Contains([]string{"down", "failing"}, state):
		return zapcore.ErrorLevel
	case slices.Contains([]string{"degraded", "open", "stale", "incomplete"}, state):
		return zapcore.WarnLevel
	}
	return zapcore.InfoLevel
}
