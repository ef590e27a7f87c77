package regions

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
)

// The errors that end an exchange. Transport returns them unchanged or wrapped,
// so that the handler can answer each with its own status.
var (
	// ErrIdleTimeout: the backend was silent for the idle limit (504).
	ErrIdleTimeout = errors.New("backend idle timeout")
	// ErrWallClock: the invocation ran for longer than it may (546).
	ErrWallClock = errors.New("wall clock limit")
	// ErrClientStalled: the client stopped sending its body (408).
	ErrClientStalled = errors.New("client stopped sending its body")
	// ErrBodyMalformed: the client's body breaks HTTP's framing (400).
	ErrBodyMalformed = errors.New("malformed request body")
	// ErrBodyTooLarge: the client sent more than it may (413).
	ErrBodyTooLarge = errors.New("request body too large")
	// ErrClientGone: the client closed the connection; no answer is possible.
	ErrClientGone = errors.New("client gone")
	// ErrBackend: the connection to the backend broke before an answer (502).
	ErrBackend = errors.New("backend connection broke")
	// ErrNotHTTP: the backend's answer was malformed, too large or cut before the
	// end of its headers (502).
	ErrNotHTTP = errors.New("backend's answer is not valid HTTP")
	// ErrUnsendable: the request cannot be written as HTTP (502).
	ErrUnsendable = errors.New("request cannot be sent to a backend")
	// ErrUpgradeUnsupported: a WebSocket, where no backend of the region speaks
	// HTTP/1 (501).
	ErrUpgradeUnsupported = errors.New("no backend can switch protocols")
	// ErrUnavailable: no region of the plan accepted a connection, and
	// nothing was sent (503).
	ErrUnavailable = errors.New("no backend accepted a connection")
	// ErrUnmetered: the invocation could not be recorded, so nothing was sent
	// (503).
	ErrUnmetered = errors.New("invocation cannot be recorded")
	// ErrOverloaded: the region had no room for another request (503).
	ErrOverloaded = errors.New("region full")
)

// Limits are the times and sizes that bound an exchange; 0 means no limit.
type Limits struct {
	Idle      time.Duration // silence of the backend, contract 6.1
	WallClock time.Duration // counted from Start, contract 6.2
	MaxBody   int64         // bytes of the request body
	Start     time.Time     // when the request arrived
}

// Exchange is one invocation: the plan and limits it starts with, and the
// results of its RoundTrip, which are valid once that returned.
type Exchange struct {
	Plan   Plan
	Limits Limits
	// Unblock makes a pending read of the client's body fail: net/http waits for
	// it before it gives a request up. Optional; it must be set before RoundTrip.
	Unblock func()
	// Meter is called before anything is sent. Optional.
	Meter Meter
	// Tracer follows the attempts. Optional.
	Tracer AttemptTracer
	// Tenant takes a place in the region, among the WebSockets if Socket is set
	// (contract 9.6).
	Tenant capacity.Tenant
	Socket bool
	// Callee is the function that runs.
	Callee Callee

	Region   *Region // the region that answered, or was tried last
	Reason   Reason
	Attempts int // requests sent to backends

	upstream *Upstream // that was asked last, nil before the first

	apart  bool // a shared connection broke: use an own one from now on
	cancel context.CancelCauseFunc
	cause  func() error // returns why the context ended
	done   <-chan struct{}
	onEnd  atomic.Pointer[func(cause error)]
	wall   *time.Timer
	held   *attemptResources // of the current attempt, nil before the first

	mu   sync.Mutex // guards the fields below and serializes resets of idle
	body *requestBody
	idle *time.Timer
	// answered is set at response headers: from then on only the response
	// moves the idle timer.
	answered bool
	over     bool          // nothing moves the idle timer any more
	seat     capacity.Seat // in Region
	entered  bool          // there was a seat
}

// Meter records invocations (contract 7.1, 7.2).
type Meter interface {
	// Sending is called before each attempt. If it fails nothing is sent, and the
	// exchange ends with ErrUnmetered.
	Sending(region *Region) error
	// Unsent is called after an attempt that sent nothing.
	Unsent()
}

// AttemptTracer follows the attempts of an exchange, which are made one after
// another.
type AttemptTracer interface {
	// Attempt is called before a request is sent. It may set fields of the header,
	// which belongs to this attempt alone.
	Attempt(region *Region, backend *Backend, header http.Header)
	// Attempted is called with the status of the backend's answer, or with the
	// error of an attempt that got none.
	Attempted(status int, err error)
}

// Backend returns the Backend.Key of the backend that was asked last, "" before the
// first.
func (x *Exchange) Backend() string {
	if x.upstream == nil {
		return ""
	}
	return x.upstream.key
}

type exchangeKey struct{}

// Begin returns an exchange and the context that its request must carry. End
// must be called when the exchange is over.
func Begin(ctx context.Context, plan Plan, limits Limits) (*Exchange, context.Context) {
	x := &Exchange{Plan: plan, Limits: limits}
	ctx, x.cancel = context.WithCancelCause(ctx)
	x.done = ctx.Done()
	x.cause = func() error { return context.Cause(ctx) }
	if limits.WallClock > 0 {
		left := limits.WallClock - time.Since(limits.Start)
		x.wall = time.AfterFunc(max(left, 0), func() { x.interrupt(ErrWallClock) })
	}
	return x, context.WithValue(ctx, exchangeKey{}, x)
}

// End releases everything the exchange holds: timers, context, its seat in a
// region, the place of an attempt and the body of its answer. It must be called
// however the exchange ended, and may be called again.
func (x *Exchange) End() {
	x.leave()
	x.mu.Lock()
	x.over = true
	if x.idle != nil {
		x.idle.Stop()
	}
	body := x.body
	x.mu.Unlock()
	if body != nil {
		body.kept.release()
	}
	if x.wall != nil {
		x.wall.Stop()
	}
	x.cancel(context.Canceled)
	if x.held != nil {
		x.held.release()
	}
}

// BodyEnded reports whether the client has sent its whole body.
func (x *Exchange) BodyEnded() bool {
	b := x.clientBody()
	return b == nil || b.ended.Load()
}

// Stalled reports whether reading the client's body ended in a timeout.
func (x *Exchange) Stalled() bool {
	b := x.clientBody()
	return b != nil && errors.Is(b.failure(), ErrClientStalled)
}

// BytesIn returns how many bytes of the request's body were read.
func (x *Exchange) BytesIn() int64 {
	if b := x.clientBody(); b != nil {
		return b.read.Load()
	}
	return 0
}

// BodyFault returns why the client's body could not be read, nil if it could.
func (x *Exchange) BodyFault() error {
	if b := x.clientBody(); b != nil {
		return b.failure()
	}
	return nil
}

// Interrupted returns the limit that ended the exchange: ErrIdleTimeout,
// ErrWallClock or ErrClientStalled; nil if none did.
func (x *Exchange) Interrupted() error {
	if cause := x.cause(); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// OnTimeout has f end the exchange when a limit is reached, instead of an abort.
// WebSockets use it to send a close frame first.
func (x *Exchange) OnTimeout(f func(cause error)) { x.onEnd.Store(&f) }

func (x *Exchange) interrupt(cause error) {
	if f := x.onEnd.Load(); f != nil {
		(*f)(cause)
		return
	}
	x.cancel(cause)
	// The wall clock may end before RoundTrip. Unblock is safe to read only once
	// there is a body.
	if b := x.clientBody(); b != nil && b.waiting.Load() && x.Unblock != nil {
		x.Unblock()
	}
}

// interrupted reports whether the exchange was given up.
func (x *Exchange) interrupted() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// clientBody returns the client's body, nil before RoundTrip or if there is
// none.
func (x *Exchange) clientBody() *requestBody {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.body
}

// start sets the body (nil for none) and arms the idle timer before the first
// attempt.
func (x *Exchange) start(b *requestBody) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.body = b
	if x.Limits.Idle > 0 {
		x.idle = time.AfterFunc(x.Limits.Idle, x.idled)
	}
}
