package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/tracing"
	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/auth"
)

// callEnding says how a call ended (contract 8.19).
type callEnding string

// The endings. A call has exactly one.
const (
	endComplete   callEnding = "complete"    // the answer was sent completely
	endBackendCut callEnding = "backend_cut" // the backend broke off its answer, or sent none
	endClientGone callEnding = "client_gone" // the client closed the connection, or did not read the answer
	endTimedOut   callEnding = "timed_out"   // idle timeout, wall clock limit, or the body of the request did not come
	endRefused    callEnding = "refused"     // the gateway answered instead of the function
	endReloaded   callEnding = "reloaded"    // the server closed the connection: it stops, or drains the region
)

// callRecord is the outcome of a call, as it is logged.
type callRecord struct {
	ending   callEnding
	cut      bool          // the answer was broken off after its head
	cause    error         // nil if the ending is endComplete
	duration time.Duration // until the last byte of the answer
	bytesIn  int64         // bytes of the request's body that were read
	bytesOut int64         // bytes of the answer's body that were sent
	answered bool          // by the function
	sent     time.Time     // when it was handed to a backend first; zero if it was not
	head     time.Time     // when the head of the answer came from a backend
}

// setEnding notes how the call ended, unless that was noted before.
func (c *call) setEnding(as callEnding, cause error) {
	if c.record.ending == "" {
		c.record.ending, c.record.cause = as, cause
		c.record.duration = time.Since(c.start)
	}
}

// end is deferred for every call: it releases everything that the call holds, and
// records the call. It recovers panics, so that other handlers do not see them and
// Caddy's access log and metrics have the call.
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
	c.count()
	c.keepRefusal()
	if c.trace.Sampled() {
		c.trace.End(c.traceEnding())
	}
	if log := c.handler.app.invocationLog(c.inv.ID); log != nil {
		log.Write(c.invocation())
	}
	if c.mustPanic {
		panic(http.ErrAbortHandler) // the only way left to break the answer off
	}
}

// recovered ends a call that panicked: httputil.ReverseProxy breaks off answers with
// http.ErrAbortHandler; anything else is a bug.
func (c *call) recovered(reason any) {
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		c.answerBrokenOff()
		return
	}
	// The value may contain data of a client or a function: only its type is logged.
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

// answerBrokenOff ends a call whose answer broke off. If nothing of it was sent yet,
// the client gets an error answer of the gateway instead (contract 6.8).
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

// breakCause returns the ending and the error of an answer that broke off.
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
	return endClientGone, regions.ErrClientGone // reading succeeded, so writing failed
}

// connectionLost returns the ending of a call whose connection was closed: by the
// client, or by this server.
func (c *call) connectionLost() (callEnding, error) {
	if err, ok := errors.AsType[*quic.ApplicationError](context.Cause(c.r.Context())); ok && !err.Remote {
		return endReloaded, errStopping
	}
	return endClientGone, regions.ErrClientGone
}

var errStopping = errors.New("the server closed the connection")

// refusedAs returns the ending of a call that was answered with a refusal.
func refusedAs(refusal *routing.Refusal) callEnding {
	switch refusal.Code {
	case routing.CodeBackendError:
		return endBackendCut
	case routing.CodeIdleTimeout, routing.CodeResourceLimit, routing.CodeRequestTimeout:
		return endTimedOut
	}
	return endRefused
}

// logEnding adds fields to the line of Caddy's access log. If a backend or a limit
// broke off the answer, it logs that too.
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

// keepRefusal keeps a request that was refused in memory: the ledger has no record of it.
func (c *call) keepRefusal() {
	if c.handler.app == nil || c.meter.status < http.StatusBadRequest || c.meter.request.Counts() {
		return
	}
	refused := invocations.Refusal{
		At:        c.start,
		Duration:  c.record.duration,
		RequestID: c.inv.ID,
		Function:  c.inv.Slug,
		Region:    c.region(),
		Status:    c.meter.status,
		Code:      c.w.Header().Get(headerErrorCode),
	}
	if c.inv.Project != nil {
		refused.Project = c.inv.Project.Ref
	}
	if c.inv.Function == nil {
		refused.Function = logs.Mask(refused.Function) // a caller may take a key for a name
	}
	c.handler.app.Refused().Add(&refused)
}

// Refused returns the latest requests that this process refused, under whatever
// configuration.
func (a *App) Refused() *invocations.Refusals { return a.shared.refused }

// invocationLog returns the log that has a line for a request; nil if none has.
func (a *App) invocationLog(requestID string) *logs.InvocationLog {
	if a == nil {
		return nil
	}
	return a.invocations.For(requestID)
}

// invocation returns the line of the invocation log for a call that has ended
// (contract section 8).
func (c *call) invocation() *logs.Invocation {
	header := c.w.Header()
	line := &logs.Invocation{
		Start:         c.start,
		Duration:      c.record.duration,
		RequestID:     c.inv.ID,
		Method:        c.r.Method,
		URL:           requestURL(c.r),
		Headers:       logs.ShowRequest(c.r.Header),
		Conflict:      c.inv.Hint.Conflict,
		BytesIn:       c.record.bytesIn,
		BytesOut:      c.record.bytesOut,
		Record:        c.meter.request.Record(),
		Outcome:       string(c.record.ending),
		Status:        c.meter.status,
		ErrorCode:     header.Get(headerErrorCode),
		ContentType:   header.Get("Content-Type"),
		ContentLength: header.Get("Content-Length"),
		KeyPrefix:     c.inv.Identity.APIKey.Prefix,
		KeyHash:       c.inv.Identity.APIKey.Hash,
	}
	if p := c.inv.Project; p != nil {
		line.Project = p.Ref
	}
	if f := c.inv.Function; f != nil {
		line.FunctionID, line.Version = f.ID, f.Version
	}
	if line.Region = c.region(); line.Region != "" {
		line.Reason = string(c.reason())
	}
	if c.exchange != nil {
		line.Attempts = c.exchange.Attempts
	}
	if c.record.answered {
		line.ExecutionID = header.Get(headerExecution)
	}
	if c.inv.Identity.Method == auth.MethodJWT {
		claims := &c.inv.Identity.JWT
		line.JWT = &logs.InvocationJWT{
			Issuer:          claims.Issuer,
			Subject:         claims.Subject,
			Role:            claims.Role,
			Algorithm:       claims.Algorithm,
			KeyID:           claims.KeyID,
			SignaturePrefix: claims.SignaturePrefix,
			ExpiresAt:       claims.ExpiresAt,
		}
	}
	return line
}

// traceEnding returns what the span of a call that has ended says.
func (c *call) traceEnding() *tracing.Ending {
	e := &tracing.Ending{
		RequestID: c.inv.ID,
		Outcome:   string(c.record.ending),
		ErrorCode: c.w.Header().Get(headerErrorCode),
		Status:    c.meter.status,
		BytesIn:   c.record.bytesIn,
		BytesOut:  c.record.bytesOut,
	}
	if p := c.inv.Project; p != nil {
		e.Project = p.Ref
	}
	if f := c.inv.Function; f != nil {
		e.Function = f.Slug
	}
	if e.Region = c.region(); e.Region != "" {
		e.Reason = string(c.reason())
	}
	return e
}

// headerExecution has the id of the function's execution.
const headerExecution = "X-Deno-Execution-Id"

// requestURL returns the URL of a request as it was received.
func requestURL(r *http.Request) string {
	if !strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return scheme + r.Host + r.RequestURI
}
