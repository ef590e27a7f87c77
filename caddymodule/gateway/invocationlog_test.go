package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

const (
	logSecret   = "a-secret-of-enough-bytes-for-hs256-0123456789"
	logKey      = "sb_publishable_0123456789abcdefghijklmnop"
	logFunction = "2e32ff3a-5a0e-4b2e-9d0a-111111111111"
	executionID = "7d0c6f2e-1111-4222-8333-444444444444"
)

// loggedFunctions is a project with a function for each way to end.
const loggedFunctions = `project default {
jwt_secret ` + logSecret + `
api_key publishable ` + logKey + `
function locked {
id ` + logFunction + `
version 7
}
function open {
verify_jwt off
}
function silent {
verify_jwt off
}
function slow {
verify_jwt off
wall_clock 1s
}
function half {
verify_jwt off
}
function gone {
verify_jwt off
}
function says-546 {
verify_jwt off
}
function socket {
verify_jwt off
}
}
`

// heldCalls counts the calls that loggedBackend does not answer.
var heldCalls atomic.Int64

func loggedBackend(w http.ResponseWriter, r *http.Request) {
	switch strings.Split(r.URL.Path, "/")[1] {
	case "locked", "open":
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Deno-Execution-Id", executionID)
		_, _ = io.WriteString(w, "hello")
	case "silent", "slow":
		heldCalls.Add(1)
		<-r.Context().Done()
	case "gone":
		_, _ = io.WriteString(w, strings.Repeat("half of it ", 1000))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "says-546":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(546)
		_, _ = io.WriteString(w, `{"code":"WORKER_LIMIT"}`)
	default:
		breaking(w, r)
	}
}

func signedToken(claims string) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"HS256","kid":"key-1"}`)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(logSecret))
	mac.Write([]byte(text))
	return text + "." + enc.EncodeToString(mac.Sum(nil))
}

// invocationLines returns the lines of the invocation log with a text in them.
func invocationLines(t *testing.T, text string) (lines []map[string]any) {
	t.Helper()
	for _, line := range logged.having(`"logger":"edge_functions.invocations"`, text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, fields)
	}
	return lines
}

// theInvocation waits for the one line with a text in it.
func theInvocation(t *testing.T, text string) (line map[string]any) {
	t.Helper()
	within(t, func() string {
		switch lines := invocationLines(t, text); len(lines) {
		case 1:
			line = lines[0]
			return ""
		default:
			return fmt.Sprintf("%d lines of the invocation log have %s", len(lines), text)
		}
	})
	return line
}

// everyField are the names of a line, beside those that Caddy gives every line.
var everyField = strings.Fields(`event_message id timestamp project_ref function_id deployment_id execution_id execution_time_ms version
	region region_reason region_conflict attempts bytes_in bytes_out sb_request_id ledger_record_id outcome status
	response_content_type response_content_length sb_error_code request_headers jwt api_key`)

// fieldsOf are the fields of a line that differ from one that is wanted; those not wanted may be anything.
func fieldsOf(line, want map[string]any) string {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got, _ := json.Marshal(line[name]); string(got) != fmt.Sprint(want[name]) {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %v", name, got, want[name]))
		}
	}
	return strings.Join(wrong, "\n")
}

// Contract 8.1 to 8.26: a line for every way in which a call can end, with all fields.
func TestInvocationLog(t *testing.T) {
	s := serve(t, "invocation_log\nidle_timeout 2s\n"+loggedFunctions, "", loggedBackend)
	get := func(path string, headers ...string) func(*testing.T) {
		return func(t *testing.T) { s.call(t, "GET", path, "", headers...) }
	}
	hash := sha256.Sum256([]byte(logKey))
	expires := time.Now().Add(time.Hour).Unix()
	token := signedToken(fmt.Sprintf(`{"iss":"https://issuer.example","sub":"user-1","role":"authenticated","exp":%d}`, expires))
	for _, tc := range []struct {
		name, path string
		call       func(*testing.T)
		want       map[string]any // as JSON
	}{
		{"a whole answer to a token", "/functions/v1/locked/whole?a=1", func(t *testing.T) {
			s.call(t, "POST", "/functions/v1/locked/whole?a=1", "body", "Authorization", "Bearer "+token, "User-Agent", "test/1", "X-Region", "eu-central-1", "X-Secret", "hidden")
		}, map[string]any{
			"event_message": `"POST | 200 | ` + s.url + `/functions/v1/locked/whole?a=1"`, "project_ref": `"default"`, "function_id": `"` + logFunction + `"`,
			"deployment_id": `"default_` + logFunction + `_7"`, "version": 7, "execution_id": `"` + executionID + `"`, "region": `"eu-central-1"`,
			"region_reason": `"explicit"`, "region_conflict": false, "attempts": 1, "bytes_in": 4, "bytes_out": 5, "outcome": `"complete"`, "status": 200,
			"response_content_type": `"text/plain"`, "response_content_length": 5, "sb_error_code": "null", "api_key": "null",
			"request_headers": `{"accept-encoding":"gzip","content-length":"4","user-agent":"test/1","x-region":"eu-central-1"}`,
			"jwt": fmt.Sprintf(`{"algorithm":"HS256","expires_at":%d,"issuer":"https://issuer.example","key_id":"key-1","role":"authenticated","signature_prefix":"%s","subject":"user-1"}`,
				expires, token[strings.LastIndex(token, ".")+1:][:6]),
		}},
		{"an answer to a key", "/functions/v1/locked/key", get("/functions/v1/locked/key", "apikey", logKey), map[string]any{
			"status": 200, "jwt": "null", "api_key": `{"prefix":"` + logKey[:len("sb_publishable_")+6] + `","sha256":"` + hex.EncodeToString(hash[:]) + `"}`,
		}},
		{"a region named twice", "/functions/v1/open/twice", get("/functions/v1/open/twice?forceFunctionRegion=us-east-1", "X-Region", "eu-central-1"), map[string]any{
			"status": 200, "region": `"eu-central-1"`, "region_conflict": true, "function_id": "null", "deployment_id": "null", "version": "null",
		}},
		{"a region that is down", "/functions/v1/open/down", get("/functions/v1/open/down?forceFunctionRegion=us-east-1"), map[string]any{
			"status": 503, "outcome": `"refused"`, "region": `"us-east-1"`, "region_reason": `"explicit"`, "execution_id": "null", "sb_error_code": `"REGION_UNAVAILABLE"`,
			"response_content_type": `"application/json"`, "bytes_out": 0, "ledger_record_id": "null",
		}},
		{"no credentials", "/functions/v1/locked/none", get("/functions/v1/locked/none"), map[string]any{
			"status": 401, "outcome": `"refused"`, "execution_id": "null", "region": "null", "region_reason": "null", "attempts": 0, "ledger_record_id": "null",
			"sb_error_code": `"UNAUTHORIZED_NO_AUTH_HEADER"`, "jwt": "null", "api_key": "null", "version": 7,
		}},
		{"no function", "/functions/v1/nowhere", get("/functions/v1/nowhere"), map[string]any{
			"status": 404, "outcome": `"refused"`, "project_ref": `"default"`, "function_id": "null", "sb_error_code": `"NOT_FOUND"`,
		}},
		{"a preflight", "/functions/v1/locked/preflight", func(t *testing.T) {
			s.call(t, "OPTIONS", "/functions/v1/locked/preflight", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "User-Agent", "test/1")
		}, map[string]any{
			"status": 204, "outcome": `"complete"`, "execution_id": "null", "region": "null", "attempts": 0, "sb_error_code": "null", "response_content_type": "null",
			"request_headers": `{"accept-encoding":"gzip","access-control-request-method":"POST","origin":"https://app.example","user-agent":"test/1"}`,
		}},
		{"a silent function", "/functions/v1/silent", get("/functions/v1/silent"), map[string]any{
			"status": 504, "outcome": `"timed_out"`, "sb_error_code": `"IDLE_TIMEOUT"`, "attempts": 1, "region": `"eu-central-1"`, "execution_id": "null",
		}},
		{"a function that is too slow", "/functions/v1/slow", get("/functions/v1/slow"), map[string]any{
			"status": 546, "outcome": `"timed_out"`, "sb_error_code": `"WORKER_RESOURCE_LIMIT"`, "execution_id": "null",
		}},
		{"a function that says 546", "/functions/v1/says-546", get("/functions/v1/says-546"), map[string]any{
			"status": 546, "outcome": `"complete"`, "response_content_length": 23, "execution_id": "null",
		}},
		{"a cut answer", "/functions/v1/half", get("/functions/v1/half"), map[string]any{
			"status": 200, "outcome": `"backend_cut"`, "bytes_out": 11000, "response_content_length": "null", "sb_error_code": "null",
		}},
		{"a client that leaves", "/functions/v1/gone", func(t *testing.T) {
			conn, r := s.raw(t, fmt.Sprintf("GET /functions/v1/gone HTTP/1.1\r\nHost: %s\r\n\r\n", s.address))
			if _, err := io.ReadFull(r, make([]byte, 200)); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
		}, map[string]any{"status": 200, "outcome": `"client_gone"`, "bytes_out": 11000}},
		{"a client that leaves before", "/functions/v1/silent/before", func(t *testing.T) {
			before := heldCalls.Load()
			conn, _ := s.raw(t, fmt.Sprintf("GET /functions/v1/silent/before HTTP/1.1\r\nHost: %s\r\n\r\n", s.address))
			within(t, func() string {
				if heldCalls.Load() == before {
					return "the call has not come"
				}
				return ""
			})
			_ = conn.Close()
		}, map[string]any{"status": 499, "outcome": `"client_gone"`, "execution_id": "null"}},
		{"a WebSocket", "/functions/v1/socket", func(t *testing.T) {
			conn, _ := s.socket(t)
			_ = conn.Close()
		}, map[string]any{
			"status": 101, "outcome": `"client_gone"`, "attempts": 1, "region": `"eu-central-1"`,
			"request_headers": `{"sec-websocket-version":"13","upgrade":"websocket"}`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := time.Now()
			tc.call(t)
			line := theInvocation(t, s.url+tc.path)
			after := time.Now()
			if wrong := fieldsOf(line, tc.want); wrong != "" {
				t.Error(wrong)
			}
			for _, name := range everyField {
				if _, ok := line[name]; !ok {
					t.Errorf("the line has no %s", name)
				}
			}
			if line["level"] != "info" || line["msg"] != "invocation" || len(line) != len(everyField)+4 { // ts, level, logger, msg
				t.Errorf("%d fields: %v", len(line), line)
			}
			at, _ := line["timestamp"].(float64)
			if at < float64(before.UnixMicro()) || at > float64(after.UnixMicro()) {
				t.Errorf("timestamp is %v, the call came after %d", line["timestamp"], before.UnixMicro())
			}
			if took, _ := line["execution_time_ms"].(float64); took < 0 || took > float64(after.Sub(before).Milliseconds()) || line["status"] == 504.0 && took < 2000 {
				t.Errorf("execution_time_ms is %v of %s", line["execution_time_ms"], after.Sub(before))
			}
			if id, _ := line["sb_request_id"].(string); len(id) != 36 || line["id"] != id {
				t.Errorf("id %v, sb_request_id %v", line["id"], id)
			}
			if counted := tc.want["ledger_record_id"] == nil && line["attempts"] == 1.0; counted != (line["ledger_record_id"] != nil) {
				t.Errorf("ledger_record_id is %v after %v attempts", line["ledger_record_id"], line["attempts"])
			}
		})
	}
}

// Contract 8.1: without the option there is no line, and nothing is made for one.
func TestInvocationLogOff(t *testing.T) {
	s := serve(t, public("hello"), "", functions)
	s.call(t, "GET", "/functions/v1/hello", "")
	s.call(t, "GET", "/functions/v1/nowhere", "")
	if lines := logged.having("edge_functions.invocations"); len(lines) > 0 {
		t.Errorf("there are lines: %s", lines)
	}
	app := runningApp(t)
	if n := testing.AllocsPerRun(100, func() {
		if app.invocationLog("0190a8f0-0000-7000-8000-000000000000") != nil {
			t.Error("there is a log")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Contract 8.1: `sample` logs a share of the calls, the same by whatever gateway.
func TestInvocationLogSampled(t *testing.T) {
	s := serve(t, "invocation_log {\nsample 50%\n}\n"+public("hello"), "", functions)
	const calls = 60
	app := runningApp(t)
	want := make(map[string]bool)
	for range calls {
		id := s.call(t, "GET", "/functions/v1/hello", "").Header.Get("Sb-Request-Id")
		if app.invocationLog(id) != nil {
			want[id] = true
		}
	}
	if len(want) == 0 || len(want) == calls {
		t.Errorf("%d of %d calls are to be logged", len(want), calls)
	}
	within(t, func() string {
		lines := invocationLines(t, "")
		if len(lines) != len(want) {
			return fmt.Sprintf("%d lines, want %d", len(lines), len(want))
		}
		for _, line := range lines {
			if id, _ := line["sb_request_id"].(string); !want[id] {
				return "logged though it is not of the share: " + id
			}
		}
		return ""
	})
}

// Contract 8.1: a WebSocket that outlives its configuration has its line, in the log of the newest.
func TestInvocationLogOfAnEarlierConfiguration(t *testing.T) {
	for name, options := range map[string][2]string{
		"both log":                {"invocation_log\n", "invocation_log\n"},
		"only the later one logs": {"", "invocation_log\n"},
	} {
		t.Run(name, func(t *testing.T) {
			first := serve(t, options[0]+public("socket"), "", breaking)
			conn, _ := first.socket(t)
			defer conn.Close()
			earlier := runningApp(t)
			serve(t, options[1]+public("hello"), "", functions)
			if runningApp(t) == earlier {
				t.Fatal("the configuration is the same")
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
			if line := theInvocation(t, first.url+"/functions/v1/socket"); line["outcome"] != "client_gone" {
				t.Errorf("%v", line)
			}
		})
	}
}

// Contract 8.1, 5.29: a call that panics has its line as well.
func TestInvocationLogOfAPanic(t *testing.T) {
	serve(t, "invocation_log\n"+public("hello"), "", functions)
	app := runningApp(t)
	c := aCall(t.Context(), billing.NewEngine(t.TempDir()))
	c.handler.app, c.start, c.inv.ID = app, time.Now(), "0190a8f0-0000-7000-8000-00000000abcd"
	c.w = &deadlines{ResponseRecorder: httptest.NewRecorder()}
	func() {
		defer c.end()
		panic(errors.New("a fault"))
	}()
	line := theInvocation(t, c.inv.ID)
	if wrong := fieldsOf(line, map[string]any{"outcome": `"refused"`, "status": "null", "project_ref": "null"}); wrong != "" {
		t.Error(wrong)
	}
}
