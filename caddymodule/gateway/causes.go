package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/auth"
)

// unanswered logs that no backend answered the call.
func (c *call) unanswered(refusal *routing.Refusal) {
	failed := logs.FailedCall{
		Message: logs.NotAnswered,
		Region:  c.region(),
		Status:  refusal.Status,
		Code:    refusal.Code,
		Cause:   safeCause(refusal.Cause),
	}
	example := logs.Example{RequestID: c.inv.ID, Function: c.inv.Slug}
	if failed.Region != "" {
		example.Reason = string(c.reason())
	}
	if c.inv.Project != nil {
		example.Project = c.inv.Project.Ref
	}
	if c.exchange != nil {
		example.Attempts = c.exchange.Attempts
	}
	// What is refused with 503 is a matter of the region or the store, and the same
	// for all functions.
	if refusal.Status != http.StatusServiceUnavailable {
		failed.Project, failed.Function = example.Project, example.Function
	}
	c.handler.app.lease.repeats.Add(c.handler.logger, failed, example)
}

// safeCause describes why no answer came, without what peers sent: net/http
// quotes malformed answers in its errors.
func safeCause(err error) string {
	if err == nil {
		return "no region can take it"
	}
	if errors.Is(err, regions.ErrUnmetered) || errors.Is(err, metering.ErrUnavailable) || errors.Is(err, quota.ErrUnavailable) {
		return "the invocation cannot be recorded: " + logs.StoreCause(err)
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
