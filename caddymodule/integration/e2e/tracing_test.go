//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/tracing/otlpsink"
)

// startSink starts a collector, and returns the variables by which a gateway finds it.
func startSink(t *testing.T) (*otlpsink.Sink, []string) {
	t.Helper()
	sink := new(otlpsink.Sink)
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	return sink, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}
}

// startTraced runs a gateway with the option tracing that sends to a collector.
func startTraced(t *testing.T, c config) (*gateway, *otlpsink.Sink) {
	t.Helper()
	sink, environment := startSink(t)
	g := prepareGateway(t)
	g.environment = environment
	c.options += "\n\t\ttracing {\n\t\t\tsample 100%\n\t\t}"
	g.start(t, c.caddyfile(g.port, g.admin))
	return g, sink
}

// traceOf waits for the span of the call whose path ends in a text, and returns it with those of its attempts.
func traceOf(t *testing.T, sink *otlpsink.Sink, path string) (call otlpsink.Span, attempts []otlpsink.Span) {
	t.Helper()
	waitUntil(t, "the span of "+path, func() bool {
		for _, s := range sink.Spans() {
			if s.Kind == "SERVER" && strings.HasSuffix(s.Attributes["url.path"], path) {
				call = s
				return true
			}
		}
		return false
	})
	for _, s := range sink.Spans() {
		if s.Parent == call.ID {
			attempts = append(attempts, s)
		}
	}
	return call, attempts
}

// contexts are the trace contexts that a backend got, by path.
type contexts struct{ sync.Map }

// startContexts starts a backend that notes the trace context of each request, and breaks the connection if drop is set.
func startContexts(t *testing.T, drop bool) (string, *contexts) {
	t.Helper()
	var seen contexts
	return listenRaw(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if strings.HasPrefix(req.URL.Path, "/_internal/") {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			return
		}
		seen.Store(req.URL.Path, [2]string{strings.Join(req.Header.Values("Traceparent"), "|"), strings.Join(req.Header.Values("Tracestate"), "|")})
		if !drop {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
		}
	}), &seen
}

func (c *contexts) of(path string) (parent, state string) {
	v, _ := c.Load(path)
	both, _ := v.([2]string)
	return both[0], both[1]
}

const (
	clientTrace  = "0af7651916cd43dd8448eb211c80319c"
	clientParent = "00-" + clientTrace + "-b7ad6b7169203331-01"
)

// Each call has a span, however it ends, with those of its attempts as children.
func TestTraces(t *testing.T) {
	b := startPlayed(t)
	g, sink := startTraced(t, config{
		options:   "\t\tidle_timeout 2s",
		functions: logFunctions,
		backends: []backend{
			{region: regionNames[0], address: b.addr},
			{region: regionNames[1], address: deadAddress(t)},
		},
	})
	sends := func(header ...string) func(*testing.T, string) {
		return func(t *testing.T, target string) {
			conn := dial(t, g.addr)
			write(t, conn, rawRequest("GET", target, "any.example", "", header...))
			_, _ = readReply(conn, "GET")
			conn.Close()
		}
	}
	const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	for _, tt := range []struct {
		name     string
		play     play
		target   string // "": that of the play
		send     func(*testing.T, string)
		status   string
		outcome  string
		failure  string // error.type of the call
		attempts int
		failed   bool // the status of the span is an error
	}{
		{"200", says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "", sends(), "200", "complete", "", 1, false},
		{"404 of the function", says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "", sends(), "404", "complete", "", 1, false},
		{"500 of the function", says("HTTP/1.1 500 Any\r\nContent-Length: 0\r\n\r\n"), "", sends(), "500", "complete", "EDGE_FUNCTION_ERROR", 1, true},
		{"401", nil, "/functions/v1/locked", sends(), "401", "refused", "UNAUTHORIZED_NO_AUTH_HEADER", 0, false},
		{"404", nil, "/functions/v1/no.slug", sends(), "404", "refused", "NOT_FOUND", 0, false},
		{"503", nil, "/functions/v1/f/unavailable", sends("x-region: " + regionNames[1]), "503", "refused", "REGION_UNAVAILABLE", 0, true},
		{"504", holds(""), "", sends(), "504", "timed_out", "IDLE_TIMEOUT", 1, true},
		{"a client that goes", holds(""), "", func(t *testing.T, target string) { leave(t, g, target, "", 0) }, "499", "client_gone", "client_gone", 1, false},
		{"a cut stream", says(streamHead + "5\r\nhello\r\n"), "", sends(), "200", "backend_cut", "backend_cut", 1, true},
		{"a WebSocket", says(switched + "\x81\x02hi\x88\x00"), "", sends(upgradeHeader), "101", "complete", "", 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := tt.target
			if target == "" {
				target = b.add(tt.play)
			}
			tt.send(t, target)
			call, attempts := traceOf(t, sink, target)
			a := call.Attributes
			if tt.name == "503" { // the backend may have been asked before it was known to be down
				attempts = attempts[:0]
			}
			if a["http.response.status_code"] != tt.status || a["edgegate.outcome"] != tt.outcome || a["error.type"] != tt.failure || call.Failed != tt.failed ||
				len(attempts) != tt.attempts || a["edgegate.project"] != "default" || len(a["edgegate.request_id"]) != 36 {
				t.Errorf("%d attempts, and the call is %+v", len(attempts), call)
			}
			for _, attempt := range attempts {
				if a := attempt.Attributes; attempt.TraceID != call.TraceID || a["edgegate.outcome"] != tt.outcome || a["edgegate.region"] != regionNames[0] ||
					!strings.Contains(a["edgegate.backend"], b.addr) {
					t.Errorf("the attempt is %+v", attempt)
				}
			}
		})
	}
	if err := sink.Err(); err != nil {
		t.Error(err)
	}
}

// Contract 1.8: a call that two regions were asked for has two spans of attempts, and each backend got the context of its own.
func TestTraceOfARetry(t *testing.T) {
	broken, first := startContexts(t, true)
	well, second := startContexts(t, false)
	g, sink := startTraced(t, config{
		global:    "\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}\n",
		functions: rawFunctions,
		backends: []backend{
			{region: regionNames[0], address: broken},
			{region: regionNames[1], address: well, more: "\t\t\tbias 500ms\n"},
		},
	})
	call := func(target string, header ...string) {
		conn := dial(t, g.addr)
		defer conn.Close()
		write(t, conn, rawRequest("GET", target, "any.example", "", header...))
		_, _ = readReply(conn, "GET")
	}
	call("/functions/v1/f/again", "Traceparent: "+clientParent, "Tracestate: a=1", "Tracestate: b=2")
	span, attempts := traceOf(t, sink, "/f/again")
	// The only backend of the first region is asked twice: its connection broke, but it may be well.
	if len(attempts) != 3 || span.TraceID != clientTrace || span.Parent != "b7ad6b7169203331" || span.State != "a=1,b=2" || span.Attributes["edgegate.region"] != regionNames[1] {
		t.Fatalf("%+v %+v", span, attempts)
	}
	for i, seen := range []*contexts{first, second} {
		parent, state := seen.of("/f/again")
		if want := "00-" + clientTrace + "-" + attempts[i+1].ID + "-01"; parent != want || state != "a=1,b=2" {
			t.Errorf("backend %d got %q and %q, want %q", i, parent, state, want)
		}
	}
	a, b := attempts[1].Attributes, attempts[2].Attributes
	if a["edgegate.region"] != regionNames[0] || a["error.type"] != "connection_broke" || a["edgegate.outcome"] != "retried" || !attempts[1].Failed ||
		b["http.response.status_code"] != "200" || b["edgegate.outcome"] != "complete" || b["http.request.resend_count"] != "2" {
		t.Errorf("%v %v", a, b)
	}
	// Not sampled by whom we trust: no span, and the function is told.
	call("/functions/v1/f/unsampled", "Traceparent: "+strings.TrimSuffix(clientParent, "1")+"0", "x-region: "+regionNames[1])
	if parent, _ := second.of("/f/unsampled"); !strings.HasPrefix(parent, "00-"+clientTrace+"-") || !strings.HasSuffix(parent, "-00") || strings.Contains(parent, "b7ad6b7169203331") {
		t.Errorf("the backend got %q", parent)
	}
	g.stop(syscall.SIGTERM, 10*time.Second)
	for _, s := range sink.Spans() {
		if strings.HasSuffix(s.Attributes["url.path"], "unsampled") {
			t.Errorf("a call that is not sampled has a span: %+v", s)
		}
	}
	if err := sink.Err(); err != nil {
		t.Error(err)
	}
}

// A stranger's flag samples nothing, and no header of its breaks what is sent. Contract 1.8: without the option a valid context passes as it is.
func TestTracesOfStrangers(t *testing.T) {
	addr, seen := startContexts(t, false)
	hostile := [][]string{
		{"Traceparent: " + clientParent},
		{"Traceparent: " + clientParent, "Traceparent: " + clientParent},
		{"Traceparent: " + clientParent, "Tracestate: " + strings.Repeat("a=1,", 2000)},
		{"Traceparent: " + clientParent, "Tracestate: ====\xff"},
		{"Traceparent: ff" + clientParent[2:]},
		{"Traceparent: " + strings.Repeat("0", 10000)},
		{"Traceparent: 00-zz", "Tracestate: a=1"},
		{"Traceparent:", "Tracestate:"},
	}
	for _, tt := range []struct{ name, options string }{{"traced", "\t\ttracing {\n\t\t\tsample 0.0000001%\n\t\t}"}, {"off", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			sink, environment := startSink(t)
			g := prepareGateway(t)
			g.environment = environment
			c := config{options: tt.options, functions: rawFunctions, backends: []backend{{region: regionNames[0], address: addr}}}
			g.start(t, c.caddyfile(g.port, g.admin))
			for i, header := range hostile {
				conn := dial(t, g.addr)
				write(t, conn, rawRequest("GET", fmt.Sprintf("/functions/v1/f/%s-%d", tt.name, i), "any.example", "", header...))
				_, _ = readReply(conn, "GET")
				conn.Close()
				parent, _ := seen.of(fmt.Sprintf("/f/%s-%d", tt.name, i))
				if tt.name == "traced" && (len(parent) != len(clientParent) || !strings.HasSuffix(parent, "-00")) {
					t.Errorf("%.100q: the backend got %q", header, parent)
				}
				if tt.name == "off" && i == 0 && parent != clientParent {
					t.Errorf("the backend got %q", parent)
				}
			}
			g.stop(syscall.SIGTERM, 10*time.Second)
			if spans := sink.Spans(); len(spans) > 0 {
				t.Errorf("%+v", spans)
			}
		})
	}
}

// A span of Caddy's directive tracing becomes that of the call.
func TestTracesJoinCaddys(t *testing.T) {
	addr, seen := startContexts(t, false)
	sink, environment := startSink(t)
	g := prepareGateway(t)
	g.environment = environment
	c := config{options: "\t\ttracing", functions: rawFunctions, backends: []backend{{region: regionNames[0], address: addr}}}
	text := c.caddyfile(g.port, g.admin)
	site := fmt.Sprintf("http://:%d {\n", g.port)
	g.start(t, strings.Replace(text, site, site+"\ttracing\n", 1))
	conn := dial(t, g.addr)
	write(t, conn, rawRequest("GET", "/functions/v1/f/joined", "any.example", ""))
	_, _ = readReply(conn, "GET")
	conn.Close()
	call, attempts := traceOf(t, sink, "/f/joined")
	parent, _ := seen.of("/f/joined")
	if len(attempts) != 1 || call.Name != "handler" || call.Attributes["edgegate.region"] != regionNames[0] || parent != "00-"+call.TraceID+"-"+attempts[0].ID+"-01" {
		t.Errorf("the backend got %q; %+v %+v", parent, call, attempts)
	}
	servers := 0
	for _, s := range sink.Spans() {
		if s.Kind == "SERVER" {
			servers++
		}
	}
	if servers != 1 || sink.Err() != nil {
		t.Errorf("%d spans of servers, %v", servers, sink.Err())
	}
}

// A collector that hangs holds up neither calls, nor a reload, nor the end of the process; the log says once what is dropped.
func TestTracesWithoutACollector(t *testing.T) {
	addr, _ := startContexts(t, false)
	hanging := listenRaw(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	g := prepareGateway(t)
	g.environment = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + hanging, "OTEL_BSP_MAX_QUEUE_SIZE=20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5"}
	c := config{functions: rawFunctions, backends: []backend{{region: regionNames[0], address: addr}}}
	plain := c.caddyfile(g.port, g.admin)
	c.options = "\t\ttracing {\n\t\t\tsample 100%\n\t\t}"
	g.start(t, c.caddyfile(g.port, g.admin))
	for range 60 {
		conn := dial(t, g.addr)
		write(t, conn, rawRequest("GET", "/functions/v1/f/x", "any.example", ""))
		if reply, err := readReply(conn, "GET"); err != nil || reply.status != http.StatusOK {
			t.Fatalf("%v, %v", reply, err)
		}
		conn.Close()
	}
	waitUntil(t, "the warning", func() bool { return strings.Contains(g.output(), "spans are dropped") })
	waitUntil(t, "the metric", func() bool {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", g.admin))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		dropped := regexp.MustCompile(`(?m)^edgegate_spans_dropped_total(?:\{.*\})? ([1-9]\d*)$`)
		return dropped.Match(text)
	})
	if status, said := load(t, g, plain); status != http.StatusOK {
		t.Errorf("the reload is answered %d %s", status, said)
	}
	if !g.stop(syscall.SIGTERM, 20*time.Second) {
		t.Error("the process does not end")
	}
	if n := strings.Count(g.output(), "spans are dropped"); n != 1 {
		t.Errorf("that spans are dropped is logged %d times", n)
	}
}

// All spans of calls that were answered before the process ends are sent, those beyond a quota among them.
func TestTracesAreWholeAtTheEnd(t *testing.T) {
	addr, _ := startContexts(t, false)
	sink, environment := startSink(t)
	g := prepareGateway(t)
	g.environment = append(environment, "OTEL_BSP_SCHEDULE_DELAY=600000")
	c := config{
		options:   "\t\ttracing {\n\t\t\tsample 100%\n\t\t}",
		project:   "\t\t\tquota 5",
		functions: rawFunctions,
		backends:  []backend{{region: regionNames[0], address: addr}},
	}
	g.start(t, c.caddyfile(g.port, g.admin))
	for range 20 {
		exchange(t, g.addr, rawRequest("GET", "/functions/v1/f/x", "any.example", "", "Connection: close"))
	}
	g.stop(syscall.SIGTERM, 10*time.Second)
	counts := make(map[string]int)
	for _, s := range sink.Spans() {
		counts[s.Kind+" "+s.Attributes["http.response.status_code"]+" "+s.Attributes["error.type"]]++
	}
	if counts["SERVER 200 "] != 5 || counts["CLIENT 200 "] != 5 || counts["SERVER 402 PROJECT_RESTRICTED"] != 15 || sink.Err() != nil {
		t.Errorf("%v, %v", counts, sink.Err())
	}
}
