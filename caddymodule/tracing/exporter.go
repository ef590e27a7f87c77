package tracing

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/logs"
)

const (
	// scope is the name of the instrumentation scope of all spans.
	scope = "github.com/edgegate/edgegate/caddymodule/tracing"
	// flushTime bounds how long Close waits for the collector.
	flushTime = 3 * time.Second
	// warnEvery is the shortest time between two messages about lost spans.
	warnEvery = time.Minute
	// defaultQueue is how many ended spans are kept for the collector, unless
	// OTEL_BSP_MAX_QUEUE_SIZE says otherwise.
	defaultQueue = 2048
)

// Exporter sends ended spans to a collector, in the background and in batches. Spans
// that the collector does not take in time are dropped. It is safe for concurrent use.
type Exporter struct {
	mu       sync.Mutex // guards provider, and is held while it is opened or closed
	provider *sdktrace.TracerProvider
	tracer   atomic.Pointer[trace.Tracer] // nil while closed

	spans     sdktrace.SpanExporter
	processor sdktrace.SpanProcessor
	room      int64              // spans that may be kept at once
	kept      atomic.Int64       // spans that are queued, or being sent
	dropped   atomic.Uint64      // spans
	abort     context.Context    // ended when Close has waited long enough
	cancel    context.CancelFunc // ends abort
	trouble   trouble
}

// Open begins to send, unless that was begun already. The collector need not be there.
// It fails if a variable OTEL_* has a value that is not supported.
func (e *Exporter) Open(version string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.provider != nil {
		return nil
	}
	ctx := context.Background()
	spans, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("tracing: %w; check OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL in the environment", err)
	}
	if autoexport.IsNoneSpanExporter(spans) || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "edgegate"), attribute.String("service.version", version)),
		resource.WithHost(),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
	if about == nil {
		return fmt.Errorf("tracing: %w; check OTEL_RESOURCE_ATTRIBUTES in the environment", err)
	}
	e.spans = spans
	e.room = queueSize()
	e.abort, e.cancel = context.WithCancel(ctx)
	e.processor = sdktrace.NewBatchSpanProcessor((*sender)(e), sdktrace.WithMaxQueueSize(int(e.room)))
	e.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor((*queue)(e)),
		sdktrace.WithResource(about),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // Tracer has decided before
	)
	tracer := e.provider.Tracer(scope, trace.WithInstrumentationVersion(version))
	e.tracer.Store(&tracer)
	return nil
}

// queueSize returns how many ended spans may be kept.
func queueSize() int64 {
	if size, err := strconv.ParseInt(os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE"), 10, 32); err == nil && size > 0 {
		return size
	}
	return defaultQueue
}

// Dropped returns how many spans were dropped.
func (e *Exporter) Dropped() uint64 { return e.dropped.Load() }

// Close sends what is kept, and waits for that for three seconds at most. Spans that end
// later are dropped.
func (e *Exporter) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.provider == nil {
		return
	}
	e.tracer.Store(nil)
	ctx, done := context.WithTimeout(context.Background(), flushTime)
	defer done()
	if err := e.provider.Shutdown(ctx); err != nil {
		e.drop(0, err)
	}
	e.cancel()
	e.provider = nil
}

// Destruct implements caddy.Destructor.
func (e *Exporter) Destruct() error {
	e.Close()
	return nil
}

// queue is the Exporter as a span processor: it drops spans that have no room before
// they get to the processor of the SDK, which would not count them.
type queue Exporter

// OnStart implements sdktrace.SpanProcessor.
func (*queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (q *queue) OnEnd(span sdktrace.ReadOnlySpan) {
	e := (*Exporter)(q)
	switch {
	case e.tracer.Load() == nil:
		e.dropped.Add(1)
	case e.kept.Add(1) > e.room:
		e.kept.Add(-1)
		e.drop(1, errFull)
	default:
		e.processor.OnEnd(span)
	}
}

// Shutdown implements sdktrace.SpanProcessor.
func (q *queue) Shutdown(ctx context.Context) error { return q.processor.Shutdown(ctx) }

// ForceFlush implements sdktrace.SpanProcessor.
func (q *queue) ForceFlush(ctx context.Context) error { return q.processor.ForceFlush(ctx) }

// sender is the Exporter as a span exporter: it counts what the collector did not take,
// and can be aborted.
type sender Exporter

// ExportSpans implements sdktrace.SpanExporter. It returns no error: the SDK would write
// it to the standard error output for each batch.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e := (*Exporter)(s)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.abort, cancel)()
	err := e.spans.ExportSpans(ctx, spans)
	e.kept.Add(-int64(len(spans)))
	if err != nil {
		e.drop(uint64(len(spans)), err)
		return nil
	}
	if e.trouble.end() {
		caddy.Log().Named("edge_functions").Info("spans are exported again", zap.Uint64("dropped", e.dropped.Load()))
	}
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (s *sender) Shutdown(ctx context.Context) error { return s.spans.Shutdown(ctx) }

type constError string

func (c constError) Error() string { return string(c) }

// errFull is why a span is dropped while the collector takes spans too slowly.
const errFull = constError("the queue is full")

// drop counts spans that were dropped, and logs it unless that was logged lately.
func (e *Exporter) drop(spans uint64, cause error) {
	dropped := e.dropped.Add(spans)
	if e.trouble.begin(time.Now()) {
		// Not on the path of the call: outputs of logs may block.
		go caddy.Log().Named("edge_functions").Warn("spans are dropped: the collector does not take them; check OTEL_EXPORTER_OTLP_ENDPOINT and the collector",
			zap.String("error", logs.Mask(logs.FirstLine(cause))), zap.Uint64("dropped", dropped))
	}
}

// trouble decides when it is logged that spans are dropped: once, until spans were sent
// again, and not more often than warnEvery.
type trouble struct {
	mu   sync.Mutex // guards the fields below
	told bool       // it was logged, and no spans were sent since
	last time.Time  // when it was logged; zero if it was not
}

// begin reports whether it is to be logged that spans are dropped.
func (t *trouble) begin(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told || !t.last.IsZero() && now.Sub(t.last) < warnEvery {
		return false
	}
	t.told, t.last = true, now
	return true
}

// end reports whether it is to be logged that spans are sent again.
func (t *trouble) end() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := t.told
	t.told = false
	return told
}
