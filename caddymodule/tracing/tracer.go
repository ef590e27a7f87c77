package tracing

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgegate/edgegate/routing"
)

// Tracer is the option tracing of one configuration. A nil Tracer traces nothing.
type Tracer struct {
	exporter *Exporter
	share    float64 // of calls, from 0 to 1
}

// NewTracer returns the tracer of an option that is right; nil if there is no option.
func NewTracer(c *Config, exporter *Exporter) *Tracer {
	if c == nil {
		return nil
	}
	share := c.Sample
	if share == 0 {
		share = defaultSample
	}
	return &Tracer{exporter: exporter, share: share / allSampled}
}

// Start has the exporter send spans, by the name of a version. It fails if a variable
// OTEL_* of the environment has a value that is not supported.
func (t *Tracer) Start(version string) error {
	if t == nil {
		return nil
	}
	return t.exporter.Open(version)
}

// Dropped returns how many spans the exporter dropped.
func (t *Tracer) Dropped() uint64 {
	if t == nil {
		return 0
	}
	return t.exporter.Dropped()
}

// Begin begins to trace a request that came at the given time; it returns nil if none
// is traced. A span of Caddy's directive `tracing` becomes that of the call. A call that
// is not sampled has a trace context too: functions that follow it must not be sampled.
func (t *Tracer) Begin(r *http.Request, start time.Time) *Call {
	if t == nil {
		return nil
	}
	if span := trace.SpanFromContext(r.Context()); span.SpanContext().IsValid() {
		return joinSpan(r, span)
	}
	tracer := t.exporter.tracer.Load()
	if tracer == nil {
		return nil
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	client, state := clientContext(r.Header)
	c := &Call{method: methodName(r.Method), state: state}
	if !t.samples(client, trusted) {
		c.context = unsampledContext(client)
		return c
	}
	parent := client
	if !trusted {
		// A caller's own text is not exported.
		parent = client.WithTraceState(trace.TraceState{})
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	ctx, c.span = (*tracer).Start(ctx, c.method, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start))
	c.begin(ctx, *tracer, r)
	return c
}

// joinSpan returns a call whose span is that of Caddy's directive `tracing`, which has
// decided whether it is sampled.
func joinSpan(r *http.Request, span trace.Span) *Call {
	c := &Call{
		method:  methodName(r.Method),
		context: span.SpanContext(),
		state:   span.SpanContext().TraceState().String(),
	}
	if span.IsRecording() {
		c.span, c.joined = span, true
		ctx := trace.ContextWithSpan(context.Background(), span)
		c.begin(ctx, span.TracerProvider().Tracer(scope), r)
	}
	return c
}

// samples reports whether a call is sampled: as its context says if a trusted proxy
// sent it, else by chance. The id of a trace has no part in that, since callers choose it.
func (t *Tracer) samples(client trace.SpanContext, trusted bool) bool {
	if trusted && client.IsValid() {
		return client.IsSampled()
	}
	return rand.Float64() < t.share // #nosec G404 -- nothing is guarded by it
}

// clientContext returns the trace context of a client, which is invalid if it sent no
// valid one, and its tracestate, "" if that is not valid.
func clientContext(header http.Header) (trace.SpanContext, string) {
	parent, state := routing.ClientTrace(header)
	if parent == "" {
		return trace.SpanContext{}, ""
	}
	var c trace.SpanContextConfig
	c.TraceID, _ = trace.TraceIDFromHex(parent[3:35])
	c.SpanID, _ = trace.SpanIDFromHex(parent[36:52])
	flags, _ := hex.DecodeString(parent[53:55])
	c.TraceFlags = trace.TraceFlags(flags[0]) & trace.FlagsSampled
	c.Remote = true
	var err error
	if c.TraceState, err = trace.ParseTraceState(state); err != nil {
		state = ""
	}
	return trace.NewSpanContext(c), state
}

// unsampledContext returns the context of a call that is not sampled: in the trace of
// the client, or in a new one.
func unsampledContext(client trace.SpanContext) trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: client.TraceID()}
	for !c.TraceID.IsValid() {
		randomBytes(c.TraceID[:8])
		randomBytes(c.TraceID[8:])
	}
	for !c.SpanID.IsValid() {
		randomBytes(c.SpanID[:])
	}
	return trace.NewSpanContext(c)
}

// randomBytes fills eight bytes.
func randomBytes(into []byte) {
	n := rand.Uint64() // #nosec G404 -- ids of spans are no secrets
	for i := range into {
		into[i] = byte(n >> (8 * i))
	}
}

// traceparent returns a context as the value of a header.
func traceparent(c trace.SpanContext) string {
	const digits = "0123456789abcdef"
	id, span, flags := c.TraceID(), c.SpanID(), c.TraceFlags()
	text := make([]byte, 0, len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	text = append(text, "00-"...)
	text = hex.AppendEncode(text, id[:])
	text = append(text, '-')
	text = hex.AppendEncode(text, span[:])
	text = append(text, '-', digits[flags>>4], digits[flags&0xf])
	return string(text)
}
