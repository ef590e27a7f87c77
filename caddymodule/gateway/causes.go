package gateway

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/auth"
)

// unanswered logs that no backend answered the call.
func (c *call) unanswered(refusal *routing.Refusal) {
	u := failedCall{
		message: notAnswered, region: c.region(), status: refusal.Status, code: refusal.Code, cause: safeCause(refusal.Cause),
	}
	e := example{requestID: c.inv.ID, function: c.inv.Slug}
	if u.region != "" {
		e.reason = string(c.reason())
	}
	if c.inv.Project != nil {
		e.project = c.inv.Project.Ref
	}
	if c.exchange != nil {
		e.attempts = c.exchange.Attempts
	}
	// What is refused with 503 is a matter of the region or the store, and the same
	// for all functions.
	if refusal.Status != http.StatusServiceUnavailable {
		u.project, u.function = e.project, e.function
	}
	c.handler.app.lease.repeats.add(c.handler.logger, u, e)
}

// safeCause describes why no answer came, without what peers sent: net/http
// quotes malformed answers in its errors.
func safeCause(err error) string {
	if err == nil {
		return "no region can take it"
	}
	if errors.Is(err, regions.ErrUnmetered) || errors.Is(err, metering.ErrUnavailable) || errors.Is(err, quota.ErrUnavailable) {
		return "the invocation cannot be recorded: " + storeCause(err)
	}
	if errors.Is(err, regions.ErrOverloaded) {
		return err.Error() // one of a few texts
	}
	for _, known := range []error{
		regions.ErrIdleTimeout, regions.ErrWallClock, regions.ErrClientStalled,
		regions.ErrBodyTooLarge, regions.ErrBodyMalformed, regions.ErrNotHTTP, regions.ErrUnsendable, regions.ErrUpgradeUnsupported,
		routing.ErrInvalidStatus, auth.ErrBusy,
		io.ErrUnexpectedEOF, io.EOF, os.ErrDeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Error()
	}
	if errors.Is(err, regions.ErrUnavailable) {
		return regions.ErrUnavailable.Error()
	}
	return "malformed answer or broken connection"
}

// storeCause says in words why something cannot be written or asked. Replies of
// Redis may quote what they were sent, so only their code is told.
func storeCause(err error) string {
	if err == nil {
		return ""
	}
	if code := redisconn.ReplyCode(err); code != "" {
		return "Redis answers " + code
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Error()
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Error()
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	for _, known := range []error{context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return firstLine(err)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
