package gateway

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

// The messages of lines about calls that failed.
const (
	notAnswered = "invocation not answered by a backend"
	brokenOff   = "answer broken off"
)

// failedCall is what calls have in common that failed for the same cause.
type failedCall struct {
	message           string
	project, function string // "" for what concerns all functions of a region
	region            string
	status            int
	code              string // of the gateway's answer, if that is what the client got
	outcome           ending // of an answer that broke off
	cause             string
}

// example is one of the calls that a line stands for.
type example struct {
	requestID, project, function string
	// Of a call that was not answered:
	reason   string
	attempts int
	// Of an answer that broke off:
	bytesIn, bytesOut int64
	duration          time.Duration
}

// repeats logs why calls fail: the first of a cause at once, the ones that follow
// as one line a second with their number, so that neither a region that is down nor
// a function that breaks its answers off fills the disk. The `count` of all lines
// add up to the calls. It outlives configurations.
type repeats struct {
	mu     sync.Mutex // guards the fields below
	causes map[failedCall]*repeated
	logger *zap.Logger // of the configuration that was last told of one
	timer  *time.Timer // runs while there are causes
}

// repeated counts the calls since the last line.
type repeated struct {
	count int
	last  example
}

func newRepeats() *repeats { return &repeats{causes: make(map[failedCall]*repeated)} }

// add takes in a call that failed.
func (r *repeats) add(logger *zap.Logger, f failedCall, e example) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logger = logger
	if _, known := r.causes[f]; !known && len(r.causes) >= mostCauses {
		f = failedCall{message: f.message, status: f.status, code: f.code, outcome: f.outcome, cause: "many causes at once"}
	}
	known, ok := r.causes[f]
	if ok {
		known.count++
		known.last = e
		return
	}
	r.causes[f] = &repeated{}
	r.write(f, e, 1)
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
	for f, known := range r.causes {
		if known.count == 0 {
			delete(r.causes, f)
			continue
		}
		r.write(f, known.last, known.count)
		known.count = 0
	}
}

func (r *repeats) write(f failedCall, e example, count int) {
	line := r.logger.Check(zap.WarnLevel, f.message)
	if line == nil {
		return
	}
	fields := []zap.Field{
		zap.Int("count", count), zap.String("sb_request_id", e.requestID), zap.String("project_ref", e.project),
		zap.String("function", e.function), zap.String("region", f.region), zap.Int("status", f.status), zap.String("cause", f.cause),
	}
	if f.message == notAnswered {
		fields = append(fields, zap.String("reason", e.reason), zap.Int("attempts", e.attempts), zap.String("code", f.code))
	} else {
		fields = append(fields, zap.String("outcome", string(f.outcome)), zap.Int64("bytes_in", e.bytesIn),
			zap.Int64("bytes_out", e.bytesOut), zap.Duration("duration", e.duration))
	}
	line.Write(fields...)
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
