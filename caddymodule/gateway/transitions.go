package gateway

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The kinds of things whose changes of state are logged.
const (
	kindRegion   = "region"
	kindBackend  = "backend"
	kindBreaker  = "breaker"
	kindStore    = "store"
	kindLedger   = "ledger"
	kindQuotas   = "quotas"
	kindProjects = "projects"
	kindKeySet   = "key_set"
)

// condition is how one thing is at a moment.
type condition struct {
	name  string
	state string
	why   string // in words, without addresses of clients and without secrets; "" where there is nothing to say
}

// transitions logs each change of state as one line: what changed, from which
// state to which, why, and since when it was in the one before. It outlives
// configurations, since a reload changes no state.
type transitions struct {
	mu     sync.Mutex // guards states
	states map[string]map[string]entered
}

// entered is a state and when it began.
type entered struct {
	state string
	since time.Time
}

func newTransitions() *transitions {
	return &transitions{states: make(map[string]map[string]entered)}
}

// observe takes in how all things of a kind are now and logs what changed. What
// is not among them any more is forgotten without a line: it was taken out of the
// configuration. A thing that is seen for the first time was in the state that
// its kind begins in, so that what is logged does not depend on how soon after
// its beginning it is looked at.
func (t *transitions) observe(logger *zap.Logger, now time.Time, kind string, all []condition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.states[kind]
	after := make(map[string]entered, len(all))
	for _, c := range all {
		was, known := before[c.name]
		if !known {
			was = entered{firstState(kind), now}
		}
		if was.state == c.state {
			after[c.name] = was
			continue
		}
		after[c.name] = entered{c.state, now}
		if line := logger.Check(levelOf(c.state), "state changed"); line != nil {
			line.Write(
				zap.String("what", kind), zap.String("name", c.name),
				zap.String("from", was.state), zap.String("to", c.state), zap.String("why", c.why),
				zap.Time("since", was.since.UTC()), zap.Duration("lasted", now.Sub(was.since).Round(time.Millisecond)),
			)
		}
	}
	t.states[kind] = after
}

// firstState is the state that things of a kind begin in: most have to be heard
// of, the others work until something shows that they do not.
func firstState(kind string) string {
	switch kind {
	case kindBreaker:
		return "closed"
	case kindLedger, kindQuotas:
		return "up"
	}
	return "unknown"
}

// levelOf is error for what makes calls fail, warn for what may soon.
func levelOf(state string) zapcore.Level {
	switch {
	case slices.Contains([]string{"down", "failing"}, state):
		return zapcore.ErrorLevel
	case slices.Contains([]string{"degraded", "open", "stale"}, state):
		return zapcore.WarnLevel
	}
	return zapcore.InfoLevel
}
