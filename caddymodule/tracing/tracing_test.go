package tracing

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/edgegate/edgegate/caddymodule/tracing/otlpsink"
	"github.com/edgegate/edgegate/regions"
)

// The span of a call is the parent of those of its attempts, whose context the backends get.
func TestSpans(t *testing.T) {
	sink, url := startSink(t)
	e := open(t, url)
	tracer := NewTracer(&Config{Sample: 100}, e)
	c := tracer.Begin(aRequest("/functions/v1/f/x?token=hidden", true, http.Header{"Traceparent": {sampled}, "Tracestate": {"a=1,b=2"}}), time.Now())
	first := attempt(c, "eu")
	c.Attempted(0, fmt.Errorf("%w: secret bytes", regions.ErrBackend))
	second := attempt(c, "us")
	c.Attempted(200, nil)
	c.End(&Ending{RequestID: "id", Project: "p", Function: "f", Region: "us", Reason: "failover", Outcome: "complete", Status: 200, BytesOut: 5})
	e.Close()
	spans := sink.Spans()
	if err := sink.Err(); err != nil || len(spans) != 3 {
		t.Fatalf("%d spans, %v", len(spans), err)
	}
	call := spans[2]
	if call.Name != "GET f" || call.Kind != "SERVER" || call.TraceID != traceID || call.Parent != spanID || call.State != "a=1,b=2" || call.Failed ||
		call.Resource["service.name"] != "edgegate" || call.Resource["service.version"] != "test" {
		t.Errorf("the call is %+v", call)
	}
	for name, want := range map[string]string{
		"http.request.method": "GET", "http.response.status_code": "200", "url.path": "/functions/v1/f/x", "url.scheme": "http",
		"server.address": "p.example", "server.port": "8443", "network.protocol.version": "1.1", "edgegate.project": "p", "edgegate.function": "f",
		"edgegate.region": "us", "edgegate.region_reason": "failover", "edgegate.outcome": "complete", "edgegate.request_id": "id",
		"edgegate.attempts": "2", "http.response.body.size": "5", "error.type": "",
	} {
		if call.Attributes[name] != want {
			t.Errorf("%s is %q, want %q", name, call.Attributes[name], want)
		}
	}
	for i, want := range []struct {
		header                                 http.Header
		region, status, failure, outcome, sent string
	}{
		{first, "eu", "", "connection_broke", "retried", ""},
		{second, "us", "200", "", "complete", "1"},
	} {
		s := spans[i]
		a := s.Attributes
		if s.Kind != "CLIENT" || s.Parent != call.ID || s.TraceID != traceID || want.header.Get("Traceparent") != "00-"+traceID+"-"+s.ID+"-01" ||
			want.header.Get("Tracestate") != "a=1,b=2" || s.Failed != (want.failure != "") {
			t.Errorf("attempt %d is %+v, its backend got %v", i, s, want.header)
		}
		if a["edgegate.region"] != want.region || a["http.response.status_code"] != want.status || a["error.type"] != want.failure ||
			a["edgegate.outcome"] != want.outcome || a["http.request.resend_count"] != want.sent || a["server.port"] != "9000" || a["edgegate.backend"] != aBackend.Key() {
			t.Errorf("attempt %d has %v", i, a)
		}
	}
	for _, s := range spans {
		if strings.Contains(s.Raw, "hidden") || strings.Contains(s.Raw, "secret bytes") {
			t.Errorf("a secret is in %s", s.Raw)
		}
	}
}

// A context is obeyed from trusted proxies alone; a broken one never. Whatever comes, the backend gets one valid traceparent.
func TestContexts(t *testing.T) {
	sink, url := startSink(t)
	e := open(t, url)
	never := &Tracer{exporter: e}
	always := NewTracer(&Config{Sample: 100}, e)
	long := strings.Repeat("x", 1<<20)
	many := strings.TrimSuffix(strings.Repeat("k=v,", 40), ",")
	for name, tt := range map[string]struct {
		header    http.Header
		continued bool   // the trace of the client is continued
		sampled   bool   // by its flag, if a trusted proxy sends it
		state     string // that the backend gets
	}{
		"nothing":                  {http.Header{}, false, false, ""},
		"sampled":                  {http.Header{"Traceparent": {sampled}}, true, true, ""},
		"not sampled":              {http.Header{"Traceparent": {notThen}}, true, false, ""},
		"all flags":                {http.Header{"Traceparent": {sampled[:53] + "ff"}}, true, true, ""},
		"a later version":          {http.Header{"Traceparent": {"cc" + sampled[2:] + "-more"}}, true, true, ""},
		"version ff":               {http.Header{"Traceparent": {"ff" + sampled[2:]}}, false, false, ""},
		"two":                      {http.Header{"Traceparent": {sampled, sampled}}, false, false, ""},
		"upper case":               {http.Header{"Traceparent": {strings.ToUpper(sampled)}}, false, false, ""},
		"zeros":                    {http.Header{"Traceparent": {"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"}}, false, false, ""},
		"no span":                  {http.Header{"Traceparent": {"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01"}}, false, false, ""},
		"too long":                 {http.Header{"Traceparent": {sampled + long}}, false, false, ""},
		"control characters":       {http.Header{"Traceparent": {"00-" + traceID + "\x00" + spanID + "-01"}}, false, false, ""},
		"empty":                    {http.Header{"Traceparent": {""}}, false, false, ""},
		"a state":                  {http.Header{"Traceparent": {sampled}, "Tracestate": {"a=1", "b=2"}}, true, true, "a=1,b=2"},
		"a state alone":            {http.Header{"Tracestate": {"a=1"}}, false, false, ""},
		"a state that is too long": {http.Header{"Traceparent": {sampled}, "Tracestate": {"a=" + long}}, true, true, ""},
		"too many states":          {http.Header{"Traceparent": {sampled}, "Tracestate": {many}}, true, true, ""},
		"a state twice":            {http.Header{"Traceparent": {sampled}, "Tracestate": {"a=1,a=2"}}, true, true, ""},
		"a state of garbage":       {http.Header{"Traceparent": {sampled}, "Tracestate": {"====\xff"}}, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, trusted := range []bool{true, false} {
				for _, tracer := range []*Tracer{never, always} {
					c := tracer.Begin(aRequest("/", trusted, tt.header.Clone()), time.Now())
					want := tracer == always
					if trusted && tt.continued {
						want = tt.sampled
					}
					header := attempt(c, "eu")
					flags := map[bool]string{true: "01", false: "00"}[want]
					parent := header.Get("Traceparent")
					if c.Sampled() != want || !validContext(parent) || parent[53:] != flags || (parent[3:35] == traceID) != tt.continued ||
						parent[36:52] == spanID || header.Get("Tracestate") != tt.state || len(header) > 2 {
						t.Errorf("trusted %v: sampled %v (want %v), the backend gets %.200q", trusted, c.Sampled(), want, header)
					}
					if c.Sampled() {
						c.End(new(Ending))
					}
				}
			}
		})
	}
	e.Close()
	if err := sink.Err(); err != nil || len(sink.Spans()) == 0 {
		t.Errorf("%d spans, %v", len(sink.Spans()), err)
	}
}

func validContext(parent string) bool {
	c, _ := clientContext(http.Header{"Traceparent": {parent}})
	return c.IsValid() && len(parent) == len(sampled)
}

// FuzzContext: no headers of a stranger have the call sampled, or reach a backend as an invalid context.
func FuzzContext(f *testing.F) {
	f.Add(sampled, "", "a=1")
	f.Add(sampled, sampled, "a=1,a=2")
	f.Add("00-\x00", "ff", strings.Repeat("a=1,", 600))
	e := new(Exporter)
	tracer := sdktrace.NewTracerProvider().Tracer("")
	e.tracer.Store(&tracer)
	f.Fuzz(func(t *testing.T, first, second, state string) {
		header := http.Header{"Traceparent": {first}, "Tracestate": {state}}
		if second != "" {
			header.Add("Traceparent", second)
		}
		for share := range 2 {
			c := (&Tracer{exporter: e, share: float64(share)}).Begin(aRequest("/", false, header), time.Now())
			if got := attempt(c, "eu"); c.Sampled() != (share == 1) || !validContext(got.Get("Traceparent")) {
				t.Errorf("sampled %v, the backend gets %q", c.Sampled(), got)
			}
		}
	})
}

// A span of Caddy's directive tracing is that of the call, sampled or not.
func TestJoinsASpan(t *testing.T) {
	sink, url := startSink(t)
	e := open(t, url)
	ctx, span := e.provider.Tracer("caddy").Start(t.Context(), "handler", trace.WithSpanKind(trace.SpanKindServer))
	r := aRequest("/f", false, http.Header{})
	tracer := &Tracer{exporter: e}
	c := tracer.Begin(r.WithContext(trace.ContextWithSpan(r.Context(), span)), time.Now())
	header := attempt(c, "eu")
	c.Attempted(503, nil)
	c.End(&Ending{Region: "eu", Outcome: "complete", Status: 503})
	span.End()
	e.Close()
	spans := sink.Spans()
	if len(spans) != 2 || spans[1].Scope != "caddy" || spans[1].Name != "handler" || spans[1].Attributes["edgegate.region"] != "eu" ||
		spans[0].Parent != spans[1].ID || !strings.Contains(header.Get("Traceparent"), spans[0].ID+"-01") || !spans[0].Failed || spans[0].Attributes["error.type"] != "503" {
		t.Errorf("%v %+v", header, spans)
	}
	unsampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: span.SpanContext().TraceID(), SpanID: span.SpanContext().SpanID()})
	c = tracer.Begin(r.WithContext(trace.ContextWithSpanContext(ctx, unsampled)), time.Now())
	if got := attempt(c, "eu").Get("Traceparent"); c.Sampled() || got != traceparent(unsampled) {
		t.Errorf("not sampled by Caddy: the backend gets %q", got)
	}
}

// What callers choose is exported without secrets, not too long, and valid: a text that is not would make a batch invalid.
func TestHostileTexts(t *testing.T) {
	sink, url := startSink(t)
	e := open(t, url)
	const key = "sb_secret_abcdefghijklmnop"
	for _, path := range []string{"/\xff\xfe", "/" + strings.Repeat("\u00e9", 4000), "/" + strings.Repeat("x", 511) + "\u20ac", "/" + key, "/f?jwt=" + key, "", "*"} {
		r := aRequest(path, false, http.Header{})
		r.Method, r.Host = "EVIL"+key, key+".example:99999"
		c := NewTracer(&Config{Sample: 100}, e).Begin(r, time.Now())
		c.End(&Ending{Function: key, ErrorCode: "\xff" + key})
	}
	e.Close()
	spans := sink.Spans()
	if err := sink.Err(); err != nil || len(spans) != 7 {
		t.Fatalf("%d spans, %v", len(spans), err)
	}
	for _, s := range spans {
		if strings.Contains(s.Raw, key) || len(s.Attributes["url.path"]) > longestText+2 || !utf8.ValidString(s.Attributes["url.path"]) || s.Attributes["http.request.method"] != "_OTHER" {
			t.Errorf("%.2000s", s.Raw)
		}
	}
}

// A collector that hangs or is gone holds up no call: what does not fit is dropped and counted, and the end is bounded.
func TestCollectorInTrouble(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	hung := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(hung)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	defer refusing.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, url := range map[string]string{"hanging": hanging.URL, "refusing": refusing.URL, "gone": gone.URL} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
			e := open(t, url)
			tracer := NewTracer(&Config{Sample: 100}, e)
			const calls = 1000
			for range calls {
				tracer.Begin(aRequest("/", false, http.Header{}), time.Now()).End(new(Ending))
				if kept := e.kept.Load(); kept > 100 {
					t.Fatalf("%d spans are kept", kept)
				}
			}
			if name != "refusing" && e.Dropped() < calls-100-10 {
				t.Errorf("%d spans were dropped", e.Dropped())
			}
			began := time.Now()
			e.Close()
			if took := time.Since(began); took > 10*flushTime {
				t.Errorf("Close took %v", took)
			}
			within(t, func() string {
				if n := e.Dropped(); n != calls {
					return fmt.Sprintf("%d spans were dropped", n)
				}
				return ""
			})
		})
	}
}

// Spans go over gRPC too.
func TestGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sink := new(otlpsink.Sink)
	server := sink.ServeGRPC(listener)
	defer server.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	e := open(t, "http://"+listener.Addr().String())
	NewTracer(&Config{Sample: 100}, e).Begin(aRequest("/", false, http.Header{}), time.Now()).End(new(Ending))
	e.Close()
	if spans := sink.Spans(); len(spans) != 1 || sink.Err() != nil {
		t.Errorf("%+v, %v", spans, sink.Err())
	}
}

func TestEnvironment(t *testing.T) {
	for name, tt := range map[string]struct{ variable, value, want string }{
		"no exporter":      {"OTEL_TRACES_EXPORTER", "none", ""},
		"disabled":         {"OTEL_SDK_DISABLED", "true", ""},
		"a wrong exporter": {"OTEL_TRACES_EXPORTER", "oltp", "OTEL_TRACES_EXPORTER"},
		"a wrong protocol": {"OTEL_EXPORTER_OTLP_PROTOCOL", "http", "OTEL_EXPORTER_OTLP_PROTOCOL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			e := new(Exporter)
			defer e.Close()
			err := NewTracer(new(Config), e).Start("test")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v", err)
			}
			if c := NewTracer(new(Config), e).Begin(aRequest("/", false, http.Header{}), time.Now()); c != nil {
				t.Error("a call is traced")
			}
		})
	}
}

// Without the option nothing is done.
func TestOff(t *testing.T) {
	tracer := NewTracer(nil, nil)
	r, start := aRequest("/", true, http.Header{"Traceparent": {sampled}}), time.Now()
	if err := tracer.Start(""); err != nil {
		t.Error(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if c := tracer.Begin(r, start); c.Sampled() || c != nil {
			t.Error("the call is traced")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// It is logged once that spans are dropped, until some were sent; and not each time if that changes all the time.
func TestTrouble(t *testing.T) {
	var tr trouble
	now := time.Now()
	if !tr.begin(now) || tr.begin(now.Add(time.Hour)) || !tr.end() || tr.end() {
		t.Error("not once")
	}
	if tr.begin(now.Add(time.Second)) || tr.end() || !tr.begin(now.Add(warnEvery)) {
		t.Error("not after a minute")
	}
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]float64{"tracing": 0, "tracing {\n}": 0, "tracing {\nsample 0.5%\n}": 0.5, "tracing {\nsample 100%\n}": 100} {
		d := caddyfile.NewTestDispenser(text)
		d.Next()
		var c Config
		if err := c.UnmarshalCaddyfile(d); err != nil || c.Sample != want || c.Check() != nil {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
	for text, want := range map[string]string{
		"tracing 10%":               "write `tracing { sample 10% }`",
		"tracing {\nsample 10\n}":   "must be above 0% and at most 100%",
		"tracing {\nsample 0%\n}":   "must be above 0% and at most 100%",
		"tracing {\nsample 101%\n}": "must be above 0% and at most 100%",
		"tracing {\nsample\n}":      "sample",
		"tracing {\nratio 1%\n}":    "ratio",
	} {
		d := caddyfile.NewTestDispenser(text)
		d.Next()
		if err := new(Config).UnmarshalCaddyfile(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, c := range []*Config{{Sample: -1}, {Sample: 101}} {
		if c.Check() == nil {
			t.Errorf("%v is right", c)
		}
	}
}

func TestErrorTypes(t *testing.T) {
	for err, want := range map[error]string{regions.ErrClientGone: "client_gone", regions.ErrUnavailable: "unreachable", errors.New("other"): "_OTHER"} {
		if got := errorType(err); got != want {
			t.Errorf("%v is %s", err, got)
		}
	}
}
