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
	KindExporter    Kind = "exporter"
	KindCertificate Kind = "certificate"
	// KindQuota is of how much an organization has used of its quota.
	KindQuota Kind = "quota"
	// KindHealth is of the gateway itself.
	KindHealth Kind = "health"
)

// KindNames returns all kinds.
func KindNames() (names []string) {
	for _, kind := range []Kind{
		KindRegion, KindBackend, KindBreaker, KindBackendList, KindStore, KindLedger, KindQuotas, KindBills, KindClock,
		KindProjects, KindKeySet, KindExporter, KindCertificate, KindQuota, KindHealth,
	} {
		names = append(names, string(kind))
	}
	return names
}

// Transition is a change of the state of one thing.
type Transition struct {
	Kind Kind
	Name string
	From string
	To   string
	Why  string
}

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
	tell func(Transition) // besides the line

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

// NewTransitions returns Transitions that have observed nothing. tell is called with
// each change, masked, and must not wait for anything.
func NewTransitions(tell func(Transition)) *Transitions {
	return &Transitions{tell: tell, states: make(map[Kind]map[string]entered), changes: make(map[Change]uint64)}
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
		t.write(logger, now, seen.Kind, c, was)
	}
	t.states[seen.Kind] = after
}

// Enter is Observe for some things of a kind whose others stay as they are. A thing
// that is in the first state of its kind again is forgotten after its line.
func (t *Transitions) Enter(logger *zap.Logger, now time.Time, seen Observation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	states, first := t.states[seen.Kind], firstState(seen.Kind)
	if states == nil {
		states = make(map[string]entered)
		t.states[seen.Kind] = states
	}
	for _, c := range seen.All {
		was, known := states[c.Name]
		if !known {
			was = entered{first, now}
		}
		if was.state == c.State {
			continue
		}
		t.write(logger, now, seen.Kind, c, was)
		states[c.Name] = entered{c.State, now}
		if c.State == first {
			delete(states, c.Name)
		}
	}
}

// write counts a change, logs it and tells of it; t.mu is held.
func (t *Transitions) write(logger *zap.Logger, now time.Time, kind Kind, c Condition, was entered) {
	t.changes[Change{kind, c.State}]++
	if line := logger.Check(levelOf(c.State), "state changed"); line != nil {
		line.Write(
			zap.String("what", string(kind)), zap.String("name", c.Name),
			zap.String("from", was.state), zap.String("to", c.State), zap.String("why", c.Why),
			zap.Time("since", was.since.UTC()), zap.Duration("lasted", now.Sub(was.since).Round(time.Millisecond)),
		)
	}
	t.tell(Transition{
		Kind: kind,
		Name: Mask(c.Name),
		From: was.state,
		To:   c.State,
		Why:  Mask(c.Why),
	})
}

// firstState returns the state that things of a kind begin in. Most are unknown
// at first; the others work until something fails.
func firstState(kind Kind) string {
	switch kind {
	case KindBreaker:
		return "closed"
	case KindLedger, KindQuotas, KindBills, KindClock:
		return "up"
	case KindExporter:
		return "waiting"
	case KindHealth:
		return "ready"
	case KindCertificate:
		return "valid"
	case KindQuota:
		return "ok"
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
	case slices.Contains([]string{"degraded", "open", "stale", "incomplete", "not_ready", "restricted"}, state):
		return zapcore.WarnLevel
	}
	return zapcore.InfoLevel
}
