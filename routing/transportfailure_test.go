package routing

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
)

// Contract 5.3, 5.9, 5.10, 5.13 to 5.17, 5.22, 5.25, 5.26, 6.1, 6.2: the answer to each way an invocation can fail,
// with the exact body.
func TestFailed(t *testing.T) {
	p := newFixture().pipeline(t)
	limits := regions.Limits{Idle: 150 * time.Second, WallClock: 400 * time.Second, MaxBody: 10}
	tests := []struct {
		name   string
		err    error
		limits regions.Limits
		status int
		body   string
	}{
		{
			"contract 6.1 idle", regions.ErrIdleTimeout, limits, 504,
			`{"code":"IDLE_TIMEOUT","message":"Request idle timeout limit (150s) reached"}`,
		},
		{
			"contract 6.1 the real limit", regions.ErrIdleTimeout,
			regions.Limits{Idle: 1500 * time.Millisecond},
			504,
			`{"code":"IDLE_TIMEOUT","message":"Request idle timeout limit (1.5s) reached"}`,
		},
		{
			"contract 6.1 in seconds", regions.ErrIdleTimeout,
			regions.Limits{Idle: 2 * time.Hour},
			504,
			`{"code":"IDLE_TIMEOUT","message":"Request idle timeout limit (7200s) reached"}`,
		},
		{
			"contract 6.2 wall clock", regions.ErrWallClock, limits, 546,
			`{"code":"WORKER_RESOURCE_LIMIT","message":"Wall clock time limit (400s) reached"}`,
		},
		{
			"contract 5.9 client stalled", regions.ErrClientStalled, limits, 408,
			`{"code":"REQUEST_TIMEOUT","message":"The request body did not arrive in time"}`,
		},
		{
			"contract 5.10 body too large", regions.ErrBodyTooLarge, limits, 413,
			`{"code":"PAYLOAD_TOO_LARGE","message":"Request body exceeds the limit of 10 bytes"}`,
		},
		{
			"contract 5.13 invalid status", ErrInvalidStatus, limits, 500,
			`{"code":"INVALID_RESPONSE_STATUS_CODE","message":"The function returned an invalid status code"}`,
		},
		{
			"contract 5.15 backend broke", regions.ErrBackend, limits, 502,
			`{"code":"BACKEND_ERROR","message":"The function's runtime closed the connection before it answered"}`,
		},
		{
			"contract 5.3 malformed body", regions.ErrBodyMalformed, limits, 400,
			`{"code":"INVALID_REQUEST","message":"The request body is malformed"}`,
		},
		{
			"contract 5.14 no WebSockets", regions.ErrUpgradeUnsupported, limits, 501,
			`{"code":"UPGRADE_UNSUPPORTED","message":"The region's runtimes take no WebSockets"}`,
		},
		{
			"contract 5.16 no HTTP", regions.ErrNotHTTP, limits, 502,
			`{"code":"BACKEND_ERROR","message":"The function's answer is not valid HTTP"}`,
		},
		{
			"contract 5.17 not to be sent", regions.ErrUnsendable, limits, 502,
			`{"code":"BACKEND_ERROR","message":"The request could not be passed on to the function"}`,
		},
		{
			"contract 5.22 no room", regions.ErrOverloaded, limits, 503,
			`{"code":"GATEWAY_OVERLOADED","message":"The region has no room for another request"}`,
		},
		{
			"contract 5.15, 5.33 anything else", errors.New("dial tcp 10.1.0.10:9000"), limits, 502,
			`{"code":"BACKEND_ERROR","message":"The function's runtime closed the connection before it answered"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := fmt.Errorf("region us-east-1: %w: 10.1.0.10", tt.err)
			refusal := p.Failed(&Invocation{Limits: tt.limits}, err)
			if refusal.Status != tt.status || string(refusal.Body()) != tt.body {
				t.Errorf("%d %s, want %d %s", refusal.Status, refusal.Body(), tt.status, tt.body)
			}
			if !errors.Is(refusal.Cause, tt.err) || !strings.Contains(tt.body, refusal.Code) {
				t.Errorf("code %s, cause %v", refusal.Code, refusal.Cause)
			}
		})
	}
	if refusal := p.Failed(&Invocation{}, fmt.Errorf("x: %w", regions.ErrClientGone)); refusal != nil {
		t.Errorf("somebody is answered: %+v", refusal)
	}
}

// Contract 2.5, 5.24: the body of 503 REGION_UNAVAILABLE.
func TestUnavailableBody(t *testing.T) {
	refusal := refuse(503, CodeRegionUnavailable, "Region us-east-1 is not available")
	refusal.Unavailable = &Unavailable{
		Region: "us-east-1", State: regions.StateDown, Since: testNow.Add(1500 * time.Microsecond).Truncate(time.Millisecond),
		Alternatives: []string{"eu-west-1"},
	}
	const want = `{"code":"REGION_UNAVAILABLE","message":"Region us-east-1 is not available",` +
		`"region":"us-east-1","state":"down","since":"2026-11-05T12:00:00.001Z","alternatives":["eu-west-1"]}`
	if got := string(refusal.Body()); got != want {
		t.Errorf("contract 2.5: body %s, want %s", got, want)
	}
}

// Contract 5.28: the sb-error-code of a backend's 5xx.
func TestErrorCode(t *testing.T) {
	padded := func(n int) string {
		const head, tail = `{"code":"BOOT_ERROR","x":"`, `"}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	tests := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"worker error", 500, `{"code":"WORKER_ERROR","message":"x"}`, "WORKER_ERROR"},
		{"boot error", 503, `{"code":"BOOT_ERROR"}`, "BOOT_ERROR"},
		{"resource limit", 546, `{"code":"WORKER_RESOURCE_LIMIT"}`, "WORKER_RESOURCE_LIMIT"},
		{"its older name", 546, `{"code":"WORKER_LIMIT"}`, "WORKER_LIMIT"},
		{"function error", 500, `{"code":"EDGE_FUNCTION_ERROR"}`, "EDGE_FUNCTION_ERROR"},
		{"idle timeout", 504, `{"code":"IDLE_TIMEOUT"}`, "IDLE_TIMEOUT"},
		{"white space around", 500, " {\"code\": \"BOOT_ERROR\"}\n", "BOOT_ERROR"},
		{"the longest that is read", 500, padded(MaxErrorBody), "BOOT_ERROR"},
		{"too long", 500, padded(MaxErrorBody + 1), "EDGE_FUNCTION_ERROR"},
		{"too long, 546", 546, padded(MaxErrorBody + 1), "WORKER_RESOURCE_LIMIT"},
		{"546 without a body", 546, "", "WORKER_RESOURCE_LIMIT"},
		{"546 of an unknown code", 546, `{"code":"MINE"}`, "WORKER_RESOURCE_LIMIT"},
		{"no body", 500, "", "EDGE_FUNCTION_ERROR"},
		{"a code of the function's", 500, `{"code":"MINE"}`, "EDGE_FUNCTION_ERROR"},
		{"a code of the gateway's", 503, `{"code":"REGION_UNAVAILABLE"}`, "EDGE_FUNCTION_ERROR"},
		{"in lower case", 500, `{"code":"boot_error"}`, "EDGE_FUNCTION_ERROR"},
		{"a number", 500, `{"code":1}`, "EDGE_FUNCTION_ERROR"},
		{"null", 500, `null`, "EDGE_FUNCTION_ERROR"},
		{"an array", 500, `["BOOT_ERROR"]`, "EDGE_FUNCTION_ERROR"},
		{"deeper", 500, `{"error":{"code":"BOOT_ERROR"}}`, "EDGE_FUNCTION_ERROR"},
		{"cut off", 500, `{"code":"BOOT_ERROR"`, "EDGE_FUNCTION_ERROR"},
		{"text", 500, "BOOT_ERROR", "EDGE_FUNCTION_ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ErrorCode(tt.status, []byte(tt.body)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	if got := ErrorCode(500, nil); got != CodeFunctionError {
		t.Errorf("without a body: %s", got)
	}
}

// Contract 5.28: only application/json of at most 1 KiB has a say.
func TestMayHaveErrorCode(t *testing.T) {
	tests := []struct {
		contentType string
		length      int64
		want        bool
	}{
		{"application/json", 10, true},
		{"application/json", 0, true},
		{"application/json", -1, true},
		{"application/json", MaxErrorBody, true},
		{"application/json", MaxErrorBody + 1, false},
		{"Application/JSON; charset=utf-8", 10, true},
		{" application/json ;x", 10, true},
		{"application/problem+json", 10, false},
		{"application/json2", 10, false},
		{"text/plain", 10, false},
		{"", 10, false},
	}
	for _, tt := range tests {
		if got := MayHaveErrorCode(tt.contentType, tt.length); got != tt.want {
			t.Errorf("MayHaveErrorCode(%q, %d) = %v", tt.contentType, tt.length, got)
		}
	}
}
