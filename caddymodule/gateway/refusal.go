package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/auth"
)

// refuse answers a request instead of the function: it writes the status, headers and
// JSON body of a refusal, such as 402 PROJECT_RESTRICTED (contract section 5).
func (c *call) refuse(refusal *routing.Refusal) {
	c.refusal = refusal
	header := c.w.Header()
	c.setCommonHeaders(header)
	if c.region() != "" {
		c.setRegionHeaders(header)
	}
	c.inv.CORS.Gateway(header, c.inv.Origin, c.inv.Exposed[:]...)
	header.Set(headerErrorCode, refusal.Code)
	header.Set("Content-Type", "application/json")
	for name, value := range map[string]string{"Www-Authenticate": refusal.Challenge, "Allow": refusal.Allow} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if refusal.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter/time.Second)))
	}
	c.setEnding(endRefused, nil)
	c.answerEarly()
	c.meter.status = refusal.Status
	c.meter.recordRefusal()
	if refusal.Code == routing.CodeProjectRestricted {
		header.Set(headerRemaining, "0")
	}
	body := refusal.Body()
	header.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(refusal.Status)
	// Errors of a client that is gone do not matter.
	_, _ = c.w.Write(body)
	c.linger()
}

// logUnanswered logs a call that no backend answered.
func (c *call) logUnanswered(refusal *routing.Refusal) {
	failed := logs.FailedCall{
		Message: logs.NotAnswered,
		Region:  c.region(),
		Status:  refusal.Status,
		Code:    refusal.Code,
		Cause:   safeCause(refusal.Cause),
	}
	if refusal.Code == routing.CodeMeteringUnavailable {
		failed.Message = logs.NotRecorded
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
	// A 503 is caused by the region or the store, and concerns all functions.
	if refusal.Status != http.StatusServiceUnavailable {
		failed.Project, failed.Function = example.Project, example.Function
	}
	c.handler.app.shared.repeats.Add(c.handler.logger, failed, example)
}

// safeCause returns the text of an error without data of the answer, which net/http
// quotes in some errors.
func safeCause(err error) string {
	if err == nil {
		return "no region can take it"
	}
	if errors.Is(err, quota.ErrUnavailable) {
		return "no unit of the hard quota can be had: " + logs.StoreCause(err)
	}
	if errors.Is(err, regions.ErrUnmetered) || errors.Is(err, metering.ErrUnavailable) {
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
