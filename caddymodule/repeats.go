package caddymodule

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// repeatsEvery is how often repetitions are summed up.
	repeatsEvery = time.Second
	// mostCauses bounds how many causes are told apart at a time; what exceeds it is
	// summed by code alone.
	mostCauses = 256
)

// unanswered is why an invocation was not answered by a backend.
type unanswered struct {
	project, function string // "" for what concerns all functions of a region
	region            string
	status            int
	code, cause       string
}

// example is one of the calls that a line stands for.
type example struct {
	requestID, project, function, reason string
	attempts                             int
}

// repeats logs why invocations are not answered: the first of a cause at once, the
// ones that follow as one line a second with their number, so that a region that is
// down does not fill the disk. The `count` of all lines add up to the calls. It
// outlives configurations.
type repeats struct {
	mu     sync.Mutex // guards the fields below
	causes map[unanswered]*repeated
	logger *zap.Logger // of the configuration that was last told of one
	timer  *time.Timer // runs while there are causes
}

// repeated counts the calls since the last line.
type repeated struct {
	count int
	last  example
}

func newRepeats() *repeats { return &repeats{causes: make(map[unanswered]*repeated)} }

// add takes in a call that was not answered.
func (r *repeats) add(logger *zap.Logger, u unanswered, e example) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logger = logger
	if _, known := r.causes[u]; !known && len(r.causes) >= mostCauses {
		u = unanswered{status: u.status, code: u.code, cause: "many causes at once"}
	}
	known, ok := r.causes[u]
	if ok {
		known.count++
		known.last = e
		return
	}
	r.causes[u] = &repeated{}
	r.write(u, e, 1)
	if r.timer == nil {
		r.timer = time.AfterFunc(repeatsEvery, r.sum)
	}
}

// sum writes a line for each cause that repeated, and forgets the others.
func (r *repeats) sum() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	r.timer = nil
	if len(r.causes) > 0 {
		r.timer = time.AfterFunc(repeatsEvery, r.sum)
	}
}

// flush is sum without going on; r.mu is held.
func (r *repeats) flush() {
	for u, known := range r.causes {
		if known.count == 0 {
			delete(r.causes, u)
			continue
		}
		r.write(u, known.last, known.count)
		known.count = 0
	}
}

func (r *repeats) write(u unanswered, e example, count int) {
	if line := r.logger.Check(zap.WarnLevel, "invocation not answered by a backend"); line != nil {
		line.Write(
			zap.Int("count", count), zap.String("sb_request_id", e.requestID), zap.String("project_ref", e.project),
			zap.String("function", e.function), zap.String("region", u.region), zap.String("reason", e.reason),
			zap.Int("attempts", e.attempts), zap.Int("status", u.status), zap.String("code", u.code), zap.String("cause", u.cause),
		)
	}
}

// Destruct implements caddy.Destructor: what was counted is written before the
// process ends.
func (r *repeats) Destruct() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.flush()
	return nil
}
