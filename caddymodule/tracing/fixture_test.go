package tracing

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/caddymodule/tracing/otlpsink"
	"github.com/edgegate/edgegate/regions"
)

// open returns an open exporter to a collector at the URL. It closes before the test ends.
func open(t *testing.T, url string) *Exporter {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	e := new(Exporter)
	if err := e.Open("test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func startSink(t *testing.T) (*otlpsink.Sink, string) {
	t.Helper()
	sink := new(otlpsink.Sink)
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	return sink, server.URL
}

func aRequest(target string, trusted bool, header http.Header) *http.Request {
	r := httptest.NewRequest("GET", "http://p.example:8443/", nil)
	r.RequestURI, r.Header = target, header
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: trusted}))
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	sampled = "00-" + traceID + "-" + spanID + "-01"
	notThen = "00-" + traceID + "-" + spanID + "-00"
)

var aBackend = regions.Backend{Address: "http://127.0.0.1:9000", Scheme: "http", Network: "tcp", DialAddress: "127.0.0.1:9000", Host: "127.0.0.1:9000"}

// attempt makes an attempt and returns the header that its backend gets.
func attempt(c *Call, region string) http.Header {
	header := http.Header{"Traceparent": {"of the client"}, "Tracestate": {"of=the,client=too"}}
	c.Attempt(&regions.Region{Name: region}, &aBackend, header)
	return header
}

func within(t *testing.T, check func() string) {
	t.Helper()
	var wrong string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if wrong = check(); wrong == "" {
			return
		}
	}
	t.Fatal(wrong)
}
