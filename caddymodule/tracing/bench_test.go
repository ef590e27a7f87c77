package tracing

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkCall measures what a call with one attempt costs with the option off, not sampled, and sampled.
func BenchmarkCall(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	e := new(Exporter)
	if err := e.Open("bench"); err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	r := aRequest("/functions/v1/f", false, http.Header{"Traceparent": {sampled}})
	ending := &Ending{RequestID: "id", Project: "p", Function: "f", Region: "eu", Reason: "nearest", Outcome: "complete", Status: 200}
	for name, tracer := range map[string]*Tracer{"off": nil, "not_sampled": {exporter: e}, "sampled": {exporter: e, share: 1}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := tracer.Begin(r, time.Now())
				if c == nil {
					continue
				}
				attempt(c, "eu")
				c.Attempted(200, nil)
				if c.Sampled() {
					c.End(ending)
				}
			}
		})
	}
}
