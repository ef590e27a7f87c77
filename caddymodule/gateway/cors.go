package gateway

import (
	"hash/fnv"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/cors"
)

// noContent answers preflights and other OPTIONS requests with 204, without asking
// the function (contract 4.2, 4.7).
func (c *call) noContent() {
	header := c.w.Header()
	c.setCommonHeaders(header)
	if c.inv.Answer == routing.AnswerPreflight {
		c.meter.request.Answered(billing.OutcomePreflight)
		c.inv.CORS.Preflight(header, cors.NewPreflightRequest(c.r.Header))
	} else {
		c.meter.request.Answered(billing.OutcomeOptions)
		header.Set("Allow", c.inv.Allow)
		c.inv.CORS.Gateway(header, c.inv.Origin, c.inv.Exposed[:]...)
	}
	c.answerEarly()
	c.meter.status = http.StatusNoContent
	c.w.WriteHeader(http.StatusNoContent)
	c.setEnding(endComplete, nil)
	c.linger()
}

// allowOrigin sets the CORS headers of a function's answer (contract 4.3, 4.5,
// 4.9). Headers that other directives of the site have set already, such as
// `header`, win over the function's.
func (c *call) allowOrigin(header http.Header) {
	site := c.w.Header()
	for _, name := range cors.Single() {
		if values := site[name]; len(values) > 0 {
			header[name] = append(values, header[name]...)
			delete(site, name)
		}
	}
	if !c.inv.CORS.Response(header, c.inv.Origin, c.inv.OwnCORS(), c.inv.Exposed[:]...) {
		return
	}
	function := c.inv.Function.Slug
	if !c.handler.originWarnings.due(c.inv.Project.Ref, function, time.Now()) {
		return
	}
	c.handler.logger.Warn("conflicting Access-Control-Allow-Origin headers removed from answer; set the header in one place only",
		zap.String("sb_request_id", c.inv.ID), zap.String("project_ref", c.inv.Project.Ref), zap.String("function", function))
}

// warningInterval is the least time between two warnings about a function.
const warningInterval = time.Minute

// warningLimiter limits warnings about a function to one a minute. It takes the same memory
// for any number of functions: those of the same slot share their minute.
type warningLimiter struct {
	last [256]atomic.Int64 // Unix nanoseconds
}

// due reports whether the last warning about the function was at least a minute ago. If
// so, the next minute starts.
func (o *warningLimiter) due(project, function string, now time.Time) bool {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(project + "/" + function)) // never fails
	slot := &o.last[hash.Sum32()%uint32(len(o.last))]
	last := slot.Load()
	return now.UnixNano()-last >= int64(warningInterval) && slot.CompareAndSwap(last, now.UnixNano())
}
