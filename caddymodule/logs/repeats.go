package logs

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// repeatsEvery is the interval at which repeated failures are summed up in a line.
	repeatsEvery = time.Second
	// mostCauses bounds how many causes are told apart at a time; what exceeds it is
	// summed by code alone.
	mostCauses = 256
)

// The messages of lines about failed calls.
const (
	NotAnswered = "invocation not answered by a backend"
	NotRecorded = "invocation refused: it cannot be recorded"
	BrokenOff   = "answer broken off"
)

// FailedCall is the cause of failed calls: calls for which all fields are equal
// share a line.
type FailedCall struct {
	Message  string // NotAnswered, NotRecorded or BrokenOff
	Project  string // "", as Function, where the cause concerns all functions of a region
	Function string
	Region   string
	Status   int
	Code     string // of the gateway's answer; "" if the client got another answer
	Outcome  string // of an answer that broke off
	Cause    string
}

// Example is one of the calls that a line stands for.
type Example struct {
	RequestID string
	Project   string
	Function  string

	// Reason and Attempts are set for a call that was not answered.
	Reason   string
	Attempts int

	// BytesIn, BytesOut and Duration are set for an answer that broke off.
	BytesIn, BytesOut int64
	Duration          time.Duration
}

// Repeats logs why calls fail: the first call of a cause at once, the ones that
// follow as one line a second with their number, so that neither a region that is
// down nor a function that breaks its answers off fills the disk. The counts of
// all lines add up to the calls. It outlives configurations, and is safe for
// concurrent use.
type Repeats struct {
	mu     sync.Mutex // guards the fields below
	causes map[FailedCall]*repeated
	logger *zap.Logger // of the last call of Add
	timer  *time.Timer // runs while there are causes
}

// repeated counts the calls since the last line.
type repeated struct {
	count int
	last  Example
}

// NewRepeats returns Repeats that have counted nothing.
func NewRepeats() *Repeats { return &Repeats{causes: make(map[FailedCall]*repeated)} }

// Add counts a call that failed, and logs it if its cause is new.
func (r *Repeats) Add(logger *zap.Logger, f FailedCall, e Example) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logger = logger
	if _, known := r.causes[f]; !known && len(r.causes) >= mostCauses {
		f = FailedCall{
			Message: f.Message,
			Status:  f.Status,
			Code:    f.Code,
			Outcome: f.Outcome,
			Cause:   "many causes at once",
		}
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
func (r *Repeats) sum() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	r.timer = nil
	if len(r.causes) > 0 {
		r.timer = time.AfterFunc(repeatsEvery, r.sum)
	}
}

// flush is sum without going on; r.mu is held.
func (r *Repeats) flush() {
	for f, known := range r.causes {
		if known.count == 0 {
			delete(r.causes, f)
			continue
		}
		r.write(f, known.last, known.count)
		known.count = 0
	}
}

func (r *Repeats) write(f FailedCall, e Example, count int) {
	line := r.logger.Check(zap.WarnLevel, f.Message)
	if line == nil {
		return
	}
	fields := []zap.Field{
		zap.Int("count", count), zap.String("sb_request_id", e.RequestID), zap.String("project_ref", e.Project),
		zap.String("function", e.Function), zap.String("region", f.Region), zap.Int("status", f.Status), zap.String("cause", f.Cause),
	}
	if f.Message != BrokenOff {
		fields = append(fields, zap.String("reason", e.Reason), zap.Int("attempts", e.Attempts), zap.String("code", f.Code))
	} else {
		fields = append(fields, zap.String("outcome", f.Outcome), zap.Int64("bytes_in", e.BytesIn),
			zap.Int64("bytes_out", e.BytesOut), zap.Duration("duration", e.Duration))
	}
	line.Write(fields...)
}

// Destruct implements caddy.Destructor: what was counted is written before the
// process ends.
func (r *Repeats) Destruct() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.flush()
	return nil
}
