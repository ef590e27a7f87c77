package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
)

// callEnding is how a call ended (contract 8.19).
type callEnding string

// The endings. A call has one.
const (
	endComplete   callEnding = "complete"    // the answer went out whole
	endBackendCut callEnding = "backend_cut" // the backend broke its answer off, or gave none
	endClientGone callEnding = "client_gone" // the client went away, or took no more of the answer
	endTimedOut   callEnding = "timed_out"   // a limit struck: idle, wall clock, or the wait for the request's body
	endRefused    callEnding = "refused"     // the gateway answered in the function's stead
	endReloaded   callEnding = "reloaded"    // the server closed the connection: it stops, or drains the region
)

// callRecord is the one account of a call: logs are written from it.
type callRecord struct {
	ending   callEnding
	cut      bool          // the answer began, and was broken off
	cause    error         // why, where the ending is not complete
	duration time.Duration // until the answer's last byte
	bytesIn  int64         // of the request's body, as far as it was read
	bytesOut int64         // of the answer's body
}

// setEnding says how the call ended. Only the first call counts.
func (c *call) setEnding(as callEnding, cause error) {
	if c.record.ending == "" {
		c.record.ending, c.record.cause = as, cause
		c.record.duration = time.Since(c.start)
	}
}

// end is the one end of every call, deferred: whatever the call holds is given
// back however it ended, and then it is recorded. It keeps panics to itself:
// they would pass through other people's handlers, and leave Caddy's access log
// and metrics without the call.
func (c *call) end() {
	if reason := recover(); reason != nil {
		c.recovered(reason)
	}
	if c.head != nil {
		c.head.Stop()
	}
	if c.exchange != nil {
		c.record.bytesIn = c.exchange.BytesIn()
		c.exchange.End()
	}
	if c.socket != nil {
		c.meter.bytesOut = c.socket.BytesOut()
	}
	c.record.bytesOut = int64(c.meter.bytesOut)
	c.meter.finish()
	c.logEnding()
	if c.mustPanic {
		panic(http.ErrAbortHandler) // the only way left to break the answer off
	}
}

// recovered takes a panic in: that of the proxy, which breaks an answer off this
// way, or a fault of this program.
func (c *call) recovered(reason any) {
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		c.answerBrokenOff()
		return
	}
	// The value may quote what a client or a function sent.
	what := fmt.Sprintf("%T", reason)
	if err, ok := reason.(interface{ RuntimeError() }); ok {
		what = fmt.Sprint(err)
	}
	c.handler.logger.Error("panic in handler; the call was broken off", zap.String("sb_request_id", c.inv.ID),
		zap.String("fault", what), zap.ByteString("stack", debug.Stack()))
	if c.head != nil {
		c.head.Stop()
	}
	c.setEnding(endRefused, nil)
	c.breakOff()
}

// answerBrokenOff ends a call whose answer broke off. As long as nothing of it went
// out, the client gets a whole answer of the gateway's instead
// (contract 6.8).
func (c *call) answerBrokenOff() {
	if c.exchange == nil {
		c.setEnding(endClientGone, regions.ErrClientGone) // while the gateway answered
		c.breakOff()
		return
	}
	as, cause := c.breakCause()
	if c.head.TakeBack() {
		c.announcedClose = false
		c.answerFailure(cause)
		return
	}
	c.setEnding(as, cause)
	c.record.cut = true
	c.breakOff()
}

// breakCause tells why an answer broke off.
func (c *call) breakCause() (callEnding, error) {
	limit := c.exchange.Interrupted()
	switch {
	case limit != nil:
		return endTimedOut, limit
	case c.r.Context().Err() != nil:
		return c.connectionLost()
	}
	if fault := c.exchange.BodyFault(); fault != nil {
		// net/http's transport ends an exchange whose request it cannot send.
		if errors.Is(fault, regions.ErrClientGone) {
			return endClientGone, fault
		}
		return endRefused, fault
	}
	if c.meter.readErr != nil {
		return endBackendCut, fmt.Errorf("%w: %w", regions.ErrBackend, c.meter.readErr)
	}
	return endClientGone, regions.ErrClientGone // nothing was read wrong, so it was not written
}

// connectionLost tells who ended a connection that is gone.
func (c *call) connectionLost() (callEnding, error) {
	if err, ok := errors.AsType[*quic.ApplicationError](context.Cause(c.r.Context())); ok && !err.Remote {
		return endReloaded, errStopping
	}
	return endClientGone, regions.ErrClientGone
}

var errStopping = errors.New("the server closed the connection")

// refusedAs is the ending that an answer of the gateway's stands for.
func refusedAs(refusal *routing.Refusal) callEnding {
	switch refusal.Code {
	case routing.CodeBackendError:
		return endBackendCut
	case routing.CodeIdleTimeout, routing.CodeResourceLimit, routing.CodeRequestTimeout:
		return endTimedOut
	}
	return endRefused
}

// logEnding writes the record where people look: into Caddy's access log, and, of
// an answer that was not the client's to break off, a line of our own.
func (c *call) logEnding() {
	r := &c.record
	if fields, ok := c.r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		fields.Add(zap.String("sb_request_id", c.inv.ID))
		fields.Add(zap.String("outcome", string(r.ending)))
		if region := c.region(); region != "" {
			fields.Add(zap.String("region", region))
		}
		if code := c.w.Header().Get(headerErrorCode); code != "" {
			fields.Add(zap.String("sb_error_code", code))
		}
	}
	if !r.cut || r.ending != endBackendCut && r.ending != endTimedOut {
		return
	}
	c.handler.app.shared.repeats.Add(c.handler.logger, logs.FailedCall{
		Message:  logs.BrokenOff,
		Project:  c.inv.Project.Ref,
		Function: c.inv.Slug,
		Region:   c.region(),
		Status:   c.meter.status,
		Outcome:  string(r.ending),
		Cause:    safeCause(r.cause),
	}, logs.Example{
		RequestID: c.inv.ID,
		Project:   c.inv.Project.Ref,
		Function:  c.inv.Slug,
		BytesIn:   r.bytesIn,
		BytesOut:  r.bytesOut,
		Duration:  r.duration,
	})
}
