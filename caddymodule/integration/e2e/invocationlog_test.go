//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// invocationLine is what the test reads of a line of the invocation log.
type invocationLine struct {
	Logger     string
	Message    string `json:"event_message"`
	ID         string
	Project    *string `json:"project_ref"`
	Function   *string `json:"function_id"`
	Deployment *string `json:"deployment_id"`
	Execution  *string `json:"execution_id"`
	Took       int64   `json:"execution_time_ms"`
	Region     *string
	Reason     *string `json:"region_reason"`
	Conflict   bool    `json:"region_conflict"`
	Attempts   int
	BytesIn    int64   `json:"bytes_in"`
	BytesOut   int64   `json:"bytes_out"`
	RequestID  string  `json:"sb_request_id"`
	Record     *uint64 `json:"ledger_record_id"`
	Outcome    string
	Status     int
	ErrorCode  *string           `json:"sb_error_code"`
	Headers    map[string]string `json:"request_headers"`
	JWT        *struct{ Role string }
	Key        *struct{ Prefix, SHA256 string } `json:"api_key"`
}

const logFunctions = `
			function *
			function locked {
				id 11111111-2222-4333-8444-555555555555
				version 3
			}
			function f {
				verify_jwt off
			}
			function slow {
				verify_jwt off
				wall_clock 1s
			}`

// startLogged runs a gateway whose invocation log is a file, and nothing else has the lines. The other text is of the global options.
func startLogged(t *testing.T, c config, options string) (*gateway, func(text string) []invocationLine) {
	t.Helper()
	g := prepareGateway(t)
	file := filepath.Join(g.dir, "invocations.log")
	c.global = "\tlog default {\n\t\tformat edge_functions\n\t\texclude edge_functions.invocations\n\t}\n" +
		"\tlog invocations {\n\t\toutput file " + file + "\n\t\tformat edge_functions\n\t\tinclude edge_functions.invocations\n\t}\n" + c.global
	c.options += "\n\t\tinvocation_log" + options
	g.start(t, c.caddyfile(g.port, g.admin))
	return g, func(text string) []invocationLine { return readInvocations(t, file, text) }
}

// readInvocations returns the lines of a file whose message has a text.
func readInvocations(t *testing.T, file, text string) (lines []invocationLine) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		var l invocationLine
		if !strings.HasSuffix(line, "\n") {
			break // is being written
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if strings.Contains(l.Message, text) {
			lines = append(lines, l)
		}
	}
	return lines
}

func textOf(p *string) string {
	if p == nil {
		return "null"
	}
	return *p
}

// Contract 8.1 to 8.26: the invocation log has one line for each request, however it ends, and goes where it is sent alone.
func TestInvocationLog(t *testing.T) {
	b := startPlayed(t)
	g, lines := startLogged(t, config{
		options:   "\t\tidle_timeout 2s\n\t\trate_limit subject 1/h",
		functions: logFunctions,
		project:   "\t\t\tquota 1000",
		backends: []backend{
			{region: regionNames[0], address: b.addr},
			{region: regionNames[1], address: deadAddress(t)},
		},
	}, "")
	const hello = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Deno-Execution-Id: 7d0c6f2e-1111-4222-8333-444444444444\r\nContent-Length: 5\r\n\r\nhello"
	const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	sends := func(method string, header ...string) func(*testing.T, string) {
		return func(t *testing.T, target string) {
			conn := dial(t, g.addr)
			write(t, conn, rawRequest(method, target, "any.example", "", header...))
			if got, _ := readReply(conn, method); got.status == http.StatusSwitchingProtocols {
				_, _ = io.Copy(io.Discard, conn) // the function ends it
			}
			conn.Close()
		}
	}
	leaves := func(header ...string) func(*testing.T, string) {
		return func(t *testing.T, target string) { leave(t, g, target, "", 0, header...) }
	}
	anon := token(`{"role":"anon","sub":"limited"}`, jwtSecret)
	at := func(path string) func() string { return func() string { return path } }
	for _, tt := range []struct {
		name    string
		play    play
		target  func() string // nil: that of the play
		send    func(*testing.T, string)
		status  int
		outcome string
		code    string
		check   func(l invocationLine) bool
	}{
		{"200", says(hello), nil, sends("GET", "User-Agent: test/1"), 200, "complete", "null", func(l invocationLine) bool {
			return textOf(l.Execution) == "7d0c6f2e-1111-4222-8333-444444444444" && textOf(l.Region) == regionNames[0] && l.Attempts == 1 && l.BytesOut == 5 &&
				l.Record != nil && l.Headers["user-agent"] == "test/1" && textOf(l.Reason) != "null"
		}},
		{"401", nil, at("/functions/v1/locked"), sends("GET"), 401, "refused", "UNAUTHORIZED_NO_AUTH_HEADER", func(l invocationLine) bool {
			return l.Record == nil && l.Region == nil && l.Execution == nil && textOf(l.Deployment) == "default_11111111-2222-4333-8444-555555555555_3"
		}},
		{"404", nil, at("/functions/v1/no.slug"), sends("GET"), 404, "refused", "NOT_FOUND", func(l invocationLine) bool {
			return l.Function == nil && textOf(l.Project) == "default"
		}},
		{"the first of a subject", nil, at("/functions/v1/locked/first"), sends("GET", "Authorization: Bearer "+anon), 200, "complete", "null", func(l invocationLine) bool {
			return l.JWT != nil && l.JWT.Role == "anon"
		}},
		{"429", nil, at("/functions/v1/locked/second"), sends("GET", "Authorization: Bearer "+anon), 429, "refused", "RATE_LIMIT_EXCEEDED", func(l invocationLine) bool {
			return l.JWT != nil && l.Record == nil
		}},
		{"a key", says(hello), nil, sends("GET", "apikey: "+publishableKey), 200, "complete", "null", func(l invocationLine) bool {
			return l.Key != nil && len(l.Key.SHA256) == 64 && strings.HasPrefix(publishableKey, l.Key.Prefix) && l.Key.Prefix != ""
		}},
		{"503", says(hello), nil, sends("GET", "x-region: "+regionNames[1]), 503, "refused", "REGION_UNAVAILABLE", func(l invocationLine) bool {
			return textOf(l.Region) == regionNames[1] && textOf(l.Reason) == "explicit" && l.Record == nil && l.Execution == nil
		}},
		{"504", holds(""), nil, sends("GET"), 504, "timed_out", "IDLE_TIMEOUT", func(l invocationLine) bool { return l.Took >= 2000 && l.Record != nil }},
		{"546 of the gateway", nil, func() string { return strings.Replace(b.add(holds("")), "/f/", "/slow/", 1) }, sends("GET"), 546, "timed_out", "WORKER_RESOURCE_LIMIT", func(l invocationLine) bool { return l.Took >= 1000 }},
		{"546 of the function", says("HTTP/1.1 546 Any\r\nContent-Length: 0\r\n\r\n"), nil, sends("GET"), 546, "complete", "WORKER_RESOURCE_LIMIT", nil},
		{"a client that goes", holds(""), nil, leaves(), 499, "client_gone", "null", nil},
		{"a cut stream", says(streamHead + "5\r\nhello\r\n"), nil, sends("GET"), 200, "backend_cut", "null", func(l invocationLine) bool { return l.BytesOut == 5 }},
		{"a WebSocket", says(switched + "\x81\x02hi\x88\x00"), nil, sends("GET", upgradeHeader), 101, "complete", "null", func(l invocationLine) bool { return l.BytesOut > 0 }},
		{"a preflight", nil, at("/functions/v1/f/preflight"), sends("OPTIONS", "Origin: https://a.example", "Access-Control-Request-Method: POST"), 204, "complete", "null", func(l invocationLine) bool {
			return l.Headers["origin"] == "https://a.example" && l.Record == nil && l.Execution == nil
		}},
		{"two regions", says(hello), nil, func(t *testing.T, target string) {
			sends("GET", "x-region: "+regionNames[0])(t, target+"?forceFunctionRegion="+regionNames[1])
		}, 200, "complete", "null", func(l invocationLine) bool { return l.Conflict && textOf(l.Region) == regionNames[0] }},
		{"a region in the query", says(hello), nil, func(t *testing.T, target string) { sends("GET")(t, target+"?forceFunctionRegion="+regionNames[0]) }, 200, "complete", "null", func(l invocationLine) bool {
			return textOf(l.Reason) == "explicit" && strings.HasSuffix(l.Message, "?forceFunctionRegion="+regionNames[0])
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var target string
			if tt.target != nil {
				target = tt.target()
			} else {
				target = b.add(tt.play)
			}
			tt.send(t, target)
			var got []invocationLine
			waitUntil(t, "the line", func() bool { got = lines("any.example" + target); return len(got) > 0 })
			l := got[0]
			if len(got) != 1 || l.Logger != "edge_functions.invocations" || l.Status != tt.status || l.Outcome != tt.outcome || textOf(l.ErrorCode) != tt.code ||
				len(l.RequestID) != 36 || l.ID != l.RequestID || tt.check != nil && !tt.check(l) {
				t.Errorf("the line is %+v (%s %s %s %s), want %d %s %s", l, textOf(l.Region), textOf(l.Reason), textOf(l.ErrorCode), textOf(l.Execution), tt.status, tt.outcome, tt.code)
			}
		})
	}
	if strings.Contains(g.output(), "edge_functions.invocations") {
		t.Error("lines are in the default log too, which excludes them")
	}
}

// Contract 8.1: calls beyond a quota have their lines; all that were answered before the process ends are in the file.
func TestInvocationLogIsWholeAtTheEnd(t *testing.T) {
	b := startPlayed(t)
	g, lines := startLogged(t, config{
		functions: logFunctions,
		project:   "\t\t\tquota 5",
		backends:  []backend{{region: regionNames[0], address: b.addr}},
	}, "")
	target := b.add(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	var ids []string
	for i := range 20 {
		res, err := http.Get(g.url + target)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if want := map[bool]int{true: 200, false: 402}[i < 5]; res.StatusCode != want {
			t.Errorf("call %d was answered %d", i, res.StatusCode)
		}
		ids = append(ids, res.Header.Get("Sb-Request-Id"))
	}
	g.stop(syscall.SIGTERM, 10*time.Second)
	var logged []string
	refused := 0
	for _, l := range lines(target) {
		logged = append(logged, l.RequestID)
		if l.Status == 402 && textOf(l.ErrorCode) == "PROJECT_RESTRICTED" && l.Record == nil && l.Outcome == "refused" {
			refused++
		}
	}
	if !slices.Equal(logged, ids) || refused != 15 {
		t.Errorf("%d of %d lines, %d with 402", len(logged), len(ids), refused)
	}
}

// Contract 8.1: an output that takes nothing holds no call up.
func TestInvocationLogOutputHangs(t *testing.T) {
	sink, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	go func() {
		for {
			conn, err := sink.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	b := startPlayed(t)
	g := prepareGateway(t)
	g.start(t, config{
		global: "\tlog default {\n\t\tformat edge_functions\n\t\texclude edge_functions.invocations\n\t}\n" +
			"\tlog invocations {\n\t\toutput net " + sink.Addr().String() + "\n\t\tformat edge_functions\n\t\tinclude edge_functions.invocations\n\t}\n",
		options:   "\t\tinvocation_log",
		functions: rawFunctions,
		backends:  []backend{{region: regionNames[0], address: b.addr}},
	}.caddyfile(g.port, g.admin))
	target := b.add(says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	client := &http.Client{Timeout: askTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	call := func(target string) error {
		res, err := client.Get(g.url + target)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	told := func() bool { return strings.Contains(g.output(), "lines of the invocation log were lost") }
	// Long lines fill what the system buffers for the sink, and then what waits.
	long := "/elsewhere?" + strings.Repeat("x", 1900)
	var calls atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for calls.Add(1) <= 100_000 && !told() {
				for range 100 {
					if err := call(long); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	running.Wait()
	if !told() {
		t.Error("nobody is told that lines are lost")
	}
	for range 20 {
		if err := call(target); err != nil {
			t.Errorf("a call while the log's output hangs: %v", err)
		}
	}
}
