package logs

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// InvocationLogConfig is the option invocation_log.
type InvocationLogConfig struct {
	// The share of requests that are logged, in percent, above 0. Which ones is
	// decided by their sb-request-id alone. Default: 100.
	Sample float64 `json:"sample,omitempty"`
}

// allSampled is the share of an option without `sample`, in percent.
const allSampled = 100

// Check returns what is wrong with the option. Nil is right: no log.
func (c *InvocationLogConfig) Check() error {
	if c == nil {
		return nil
	}
	return options.CheckSample("invocation_log", c.Sample)
}

// UnmarshalCaddyfile reads
//
//	invocation_log {
//		sample <percent>
//	}
//
// of which the block may be left out.
func (c *InvocationLogConfig) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return options.Sample(d, "invocation_log", &c.Sample)
}

const (
	// mostWaiting is how many lines wait for an output that does not take them.
	// Further ones are lost: calls must not wait for a log. A line takes about 1 KiB.
	mostWaiting = 4096
	// drainTime bounds how long the end of a configuration waits for its lines.
	drainTime = time.Second
	// lostEvery is the shortest time between two messages about lost lines.
	lostEvery = 10 * time.Second
)

// InvocationLog writes lines of invocations in the background, so that an output
// that blocks or fails holds no call up. It is safe for concurrent use.
type InvocationLog struct {
	logger *zap.Logger
	faults *zap.Logger
	below  uint64      // the lines are those of requests whose hash is below
	all    bool        // the lines of all requests
	ending atomic.Bool // Write waits until the line is written
	closed atomic.Bool // the outputs are

	mu      sync.Mutex // guards the fields below
	waiting []invocationLine
	written chan struct{}  // closed when no line waits any more; nil while none does
	lost    uint64         // lines, since the last message about them
	total   *atomic.Uint64 // lost lines of all configurations; nil before Provide
	toldAt  time.Time
}

type invocationLine struct {
	entry *zapcore.CheckedEntry
	line  *Invocation
}

// NewInvocationLog returns the log of an option that is right; nil if there is no
// option. Lines go to the logger "invocations" below the given one.
func NewInvocationLog(c *InvocationLogConfig, logger *zap.Logger) *InvocationLog {
	if c == nil {
		return nil
	}
	l := &InvocationLog{logger: logger.Named("invocations"), faults: logger, all: c.Sample == 0 || c.Sample == allSampled}
	l.below = uint64(math.Ldexp(c.Sample/allSampled, 63)) << 1
	return l
}

// Samples reports whether the request is one of those to be logged. All gateways
// with the same share answer the same.
func (l *InvocationLog) Samples(requestID string) bool {
	return l.all || xxhash.Sum64String(requestID) < l.below
}

// Write has a line written, soon after it returns. The line belongs to the log from
// then on. It waits for outputs only while its configuration ends.
func (l *InvocationLog) Write(line *Invocation) {
	entry := l.logger.Check(zapcore.InfoLevel, "invocation")
	if entry == nil {
		return // the level is off, or the operator's own sampling left it out
	}
	l.mu.Lock()
	switch {
	case len(l.waiting) >= mostWaiting:
		l.lost++
		if l.total != nil {
			l.total.Add(1)
		}
		if lost := l.takeLost(); lost > 0 {
			go l.tellLost(lost)
		}
	default:
		l.waiting = append(l.waiting, invocationLine{entry, line})
		if l.written == nil {
			l.written = make(chan struct{})
			go l.writeWaiting()
		}
	}
	l.mu.Unlock()
	if l.ending.Load() {
		l.drain()
	}
}

// writeWaiting writes lines until none waits.
func (l *InvocationLog) writeWaiting() {
	var lines []invocationLine
	for {
		clear(lines)
		l.mu.Lock()
		lines, l.waiting = l.waiting, lines[:0]
		if len(lines) == 0 {
			close(l.written)
			l.written = nil
			l.mu.Unlock()
			return
		}
		lost := l.takeLost()
		l.mu.Unlock()
		for _, next := range lines {
			l.writeLine(next)
		}
		if lost > 0 {
			l.tellLost(lost)
		}
	}
}

func (l *InvocationLog) tellLost(lines uint64) {
	l.faults.Warn("lines of the invocation log were lost: its output did not take them in time", zap.Uint64("lines", lines))
}

// takeLost returns the number of lost lines when it is time to say it, else 0. l.mu
// is held.
func (l *InvocationLog) takeLost() (lost uint64) {
	now := time.Now()
	if l.lost == 0 || now.Sub(l.toldAt) < lostEvery {
		return 0
	}
	lost, l.lost, l.toldAt = l.lost, 0, now
	return lost
}

// writeLine writes one line. An encoder that panics over it must not end the
// process.
func (l *InvocationLog) writeLine(next invocationLine) {
	defer func() {
		if reason := recover(); reason != nil {
			l.faults.Error("a line of the invocation log could not be written", zap.String("sb_request_id", next.line.RequestID),
				zap.String("fault", fmt.Sprintf("%T", reason)))
		}
	}()
	next.entry.Write(zap.Inline(next.line))
}

// drain waits until the lines are written, for drainTime at most.
func (l *InvocationLog) drain() {
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	if written == nil {
		return
	}
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
	}
}

// end has the lines written while the outputs are open: those that wait now, and
// from now on each before Write returns.
func (l *InvocationLog) end() {
	l.ending.Store(true)
	l.drain()
}
