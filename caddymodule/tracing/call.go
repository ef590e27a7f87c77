package tracing

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/regions"
)

// Call is the trace of one request. It is used by one goroutine at a time.
type Call struct {
	method   string            // of a short list
	context  trace.SpanContext // of the request
	state    string            // the tracestate for backends
	span     trace.Span        // nil if the call is not sampled
	joined   bool              // the span is Caddy's, which ends it
	children context.Context   // the context of the attempts' spans
	tracer   trace.Tracer
	attempt  trace.Span // the last one that has not ended; nil if none
	attempts int
}

// Ending says how a call ended.
type Ending struct {
	RequestID string
	Project   string // its ref; "" if it is not known
	Function  string // its slug; "" if it is not known
	Region    string // "" if none was chosen
	Reason    string // why it was that region
	Outcome   string // as in the logs
	ErrorCode string // the sb-error-code of the answer; "" without one
	Status    int    // 0 if there was no answer
	BytesIn   int64  // of the request's body
	BytesOut  int64  // of the answer's body
}

// begin notes what is known of a sampled call at its begin.
func (c *Call) begin(ctx context.Context, tracer trace.Tracer, r *http.Request) {
	c.children, c.tracer = ctx, tracer
	c.context = c.span.SpanContext()
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	host, port := splitHost(r.Host)
	attributes := make([]attribute.KeyValue, 0, 6)
	attributes = append(attributes,
		attribute.String("http.request.method", c.method),
		attribute.String("url.scheme", scheme),
		attribute.String("url.path", text(path)),
		attribute.String("server.address", text(host)),
		attribute.String("network.protocol.version", protocolVersion(r)),
	)
	if port > 0 {
		attributes = append(attributes, attribute.Int("server.port", port))
	}
	c.span.SetAttributes(attributes...)
}

// Attempt implements regions.AttemptTracer: the header gets the trace context that the
// function continues.
func (c *Call) Attempt(region *regions.Region, backend *regions.Backend, header http.Header) {
	continued := c.context
	if c.span != nil {
		c.endAttempt("retried")
		continued = c.beginAttempt(region, backend)
	}
	header.Set("Traceparent", traceparent(continued))
	header.Del("Tracestate")
	if c.state != "" {
		header.Set("Tracestate", c.state)
	}
}

func (c *Call) beginAttempt(region *regions.Region, backend *regions.Backend) trace.SpanContext {
	_, c.attempt = c.tracer.Start(c.children, c.method, trace.WithSpanKind(trace.SpanKindClient))
	attributes := make([]attribute.KeyValue, 0, 6)
	attributes = append(attributes,
		attribute.String("http.request.method", c.method),
		attribute.String("edgegate.region", region.Name),
		attribute.String("edgegate.backend", text(backend.Key())),
	)
	if backend.Network == "unix" {
		attributes = append(attributes, attribute.String("server.address", text(backend.DialAddress)))
	} else {
		host, port := splitHost(backend.DialAddress)
		attributes = append(attributes, attribute.String("server.address", text(host)), attribute.Int("server.port", port))
	}
	if c.attempts > 0 {
		attributes = append(attributes, attribute.Int("http.request.resend_count", c.attempts))
	}
	c.attempts++
	c.attempt.SetAttributes(attributes...)
	return c.attempt.SpanContext()
}

// Attempted implements regions.AttemptTracer.
func (c *Call) Attempted(status int, err error) {
	switch {
	case c.attempt == nil:
	case err != nil:
		c.attempt.SetAttributes(attribute.String("error.type", errorType(err)))
		c.attempt.SetStatus(codes.Error, "")
	default:
		c.attempt.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusBadRequest {
			c.attempt.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
			c.attempt.SetStatus(codes.Error, "")
		}
	}
}

func (c *Call) endAttempt(outcome string) {
	if c.attempt != nil {
		c.attempt.SetAttributes(attribute.String("edgegate.outcome", outcome))
		c.attempt.End()
		c.attempt = nil
	}
}

// Sampled reports whether End is to be called.
func (c *Call) Sampled() bool { return c != nil && c.span != nil }

// End ends the spans of a sampled call.
func (c *Call) End(e *Ending) {
	brokenOff := e.Outcome == "backend_cut" || e.Outcome == "timed_out"
	if brokenOff && c.attempt != nil {
		c.attempt.SetAttributes(attribute.String("error.type", e.Outcome))
		c.attempt.SetStatus(codes.Error, "")
	}
	c.endAttempt(e.Outcome)
	attributes := make([]attribute.KeyValue, 0, 12)
	attributes = append(attributes,
		attribute.String("edgegate.request_id", e.RequestID),
		attribute.String("edgegate.outcome", e.Outcome),
		attribute.Int("edgegate.attempts", c.attempts),
		attribute.Int64("http.request.body.size", e.BytesIn),
		attribute.Int64("http.response.body.size", e.BytesOut),
	)
	for _, named := range [...]struct{ name, value string }{
		{"edgegate.project", e.Project},
		{"edgegate.function", e.Function},
		{"edgegate.region", e.Region},
		{"edgegate.region_reason", e.Reason},
		{"error.type", e.errorType(brokenOff)},
	} {
		if named.value != "" {
			attributes = append(attributes, attribute.String(named.name, text(named.value)))
		}
	}
	if e.Status > 0 {
		attributes = append(attributes, attribute.Int("http.response.status_code", e.Status))
	}
	c.span.SetAttributes(attributes...)
	if brokenOff || e.Status >= http.StatusInternalServerError {
		c.span.SetStatus(codes.Error, "")
	}
	if c.joined {
		return
	}
	if e.Function != "" {
		c.span.SetName(c.method + " " + text(e.Function))
	}
	c.span.End()
}

// errorType returns the value of error.type, "" for a call that went well.
func (e *Ending) errorType(brokenOff bool) string {
	switch {
	case e.ErrorCode != "":
		return e.ErrorCode
	case brokenOff, e.Outcome == "client_gone":
		return e.Outcome
	case e.Status >= http.StatusInternalServerError:
		return strconv.Itoa(e.Status)
	}
	return ""
}

// errorTypes name the errors of attempts.
var errorTypes = []struct {
	err  error
	name string
}{
	{regions.ErrUnavailable, "unreachable"},
	{regions.ErrIdleTimeout, "idle_timeout"},
	{regions.ErrWallClock, "wall_clock"},
	{regions.ErrClientStalled, "client_stalled"},
	{regions.ErrBodyMalformed, "body_malformed"},
	{regions.ErrBodyTooLarge, "body_too_large"},
	{regions.ErrClientGone, "client_gone"},
	{regions.ErrNotHTTP, "not_http"},
	{regions.ErrUnsendable, "unsendable"},
	{regions.ErrBackend, "connection_broke"},
}

// errorType names the error of an attempt. Its text may have bytes of a backend.
func errorType(err error) string {
	for i := range errorTypes {
		if errors.Is(err, errorTypes[i].err) {
			return errorTypes[i].name
		}
	}
	return "_OTHER"
}

// methodName returns the method of a request, `_OTHER` for one that is not known:
// callers invent them.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

func protocolVersion(r *http.Request) string {
	switch r.ProtoMajor {
	case 2:
		return "2"
	case 3:
		return "3"
	}
	return "1." + strconv.Itoa(r.ProtoMinor)
}

// splitHost returns the host and the port of an address; port 0 if it has none.
func splitHost(address string) (string, int) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, int(port)
}

// longestText bounds the texts of attributes, in bytes.
const longestText = 512

// text returns a text as the value of an attribute: without secrets, and not too long.
// It is valid UTF-8, since one text that is not would make a whole batch invalid.
func text(s string) string {
	s = logs.Mask(s)
	if len(s) > longestText {
		end := longestText
		for end > longestText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
