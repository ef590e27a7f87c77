//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// within fails the test unless took lies between the bounds.
func within(t *testing.T, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Errorf("it took %v, want %v to %v", took.Round(time.Millisecond), least, most)
	}
}

const publicSlow = `
			function slow {
				verify_jwt off
			}
			function sse {
				verify_jwt off
			}
			function ws-echo {
				verify_jwt off
			}
			function upload {
				verify_jwt off
			}`

// TestIdleTimeout runs with an idle timeout of 2 s (contract 6.1).
func TestIdleTimeout(t *testing.T) {
	b := startRawBackend(t)
	g := startGateway(t, config{options: "\t\tidle_timeout 2s", functions: publicSlow})
	raw := startGateway(t, config{
		options: "\t\tidle_timeout 2s", functions: rawFunctions,
		backends: []backend{{region: regionNames[0], address: b.addr}},
	})
	get := func(target string) string { return rawRequest("GET", "/functions/v1/"+target, "any.example", "") }
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"contract 6.1 no response headers: 504 IDLE_TIMEOUT with the real limit", func(t *testing.T) {
			start := time.Now()
			got := exchange(t, g.addr, get("slow?ms=8000"))
			within(t, time.Since(start), 1900*time.Millisecond, 4*time.Second)
			if got.status != 504 || got.code() != "IDLE_TIMEOUT" ||
				got.body != `{"code":"IDLE_TIMEOUT","message":"Request idle timeout limit (2s) reached"}` {
				t.Errorf("answered %d %s %s", got.status, got.code(), got.body)
			}
		}},
		{"contract 6.1 a stream that sends each second lives", func(t *testing.T) {
			start := time.Now()
			got := exchange(t, g.addr, get("sse?events=4&every=1000"))
			within(t, time.Since(start), 3900*time.Millisecond, 8*time.Second)
			if !strings.Contains(got.body, `"done":true`) {
				t.Errorf("the stream ended with %q", got.body)
			}
		}},
		{"contract 6.1 a stream that is silent is cut, and the client sees that", func(t *testing.T) {
			start := time.Now()
			conn := dial(t, g.addr)
			write(t, conn, get("sse?events=1&every=1&silence=9000"))
			got, err := readReply(conn, "GET")
			within(t, time.Since(start), 1900*time.Millisecond, 5*time.Second)
			if err == nil {
				t.Errorf("the cut stream passed as whole: %q", got.body)
			}
			if got.status != 200 || !strings.Contains(got.body, `"n":1`) {
				t.Errorf("before the cut: %d %q", got.status, got.body)
			}
		}},
		{"contract 6.1 with Content-Length a silence inside the body is allowed", func(t *testing.T) {
			got := exchange(t, raw.addr, get("f/paused"))
			if got.status != 200 || got.body != "firstafter" {
				t.Errorf("answered %d %q", got.status, got.body)
			}
		}},
		{"contract 6.1 bytes of a slow upload keep it alive", func(t *testing.T) {
			conn := dial(t, g.addr)
			write(t, conn, rawRequest("POST", "/functions/v1/upload", "any.example", "", "Content-Length: 4"))
			for range 4 {
				<-time.After(time.Second)
				write(t, conn, "x")
			}
			got, err := readReply(conn, "POST")
			if err != nil || got.status != 200 || !strings.Contains(got.body, `"length":4`) {
				t.Errorf("answered %d %s, %v", got.status, got.body, err)
			}
		}},
		{"contract 5.9 a client that stops sending its body: 408 REQUEST_TIMEOUT", func(t *testing.T) {
			start := time.Now()
			got := exchange(t, g.addr, rawRequest("POST", "/functions/v1/upload", "any.example", "half", "Content-Length: 8"))
			within(t, time.Since(start), 1900*time.Millisecond, 6*time.Second)
			if got.status != 408 || got.code() != "REQUEST_TIMEOUT" {
				t.Errorf("answered %d %s %s", got.status, got.code(), got.body)
			}
		}},
		{"contract 6.6 a WebSocket that the backend keeps answering lives", func(t *testing.T) {
			ws := openWebSocket(t, g.addr)
			for range 4 {
				<-time.After(time.Second)
				if err := ws.echo("still here"); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"contract 6.6 a WebSocket whose backend is silent is ended", func(t *testing.T) {
			ws := openWebSocket(t, g.addr)
			if err := ws.echo("hello"); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			code, err := ws.closeCode()
			within(t, time.Since(start), 1900*time.Millisecond, 6*time.Second)
			t.Logf("close code %d, %v", code, err)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

// TestWallClock runs with a wall clock of 2 s on the project (contract 6.2).
func TestWallClock(t *testing.T) {
	g := startGateway(t, config{project: "\t\t\twall_clock 2s", functions: publicSlow})
	get := func(target string) string { return rawRequest("GET", "/functions/v1/"+target, "any.example", "") }
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"contract 6.2 before headers: 546 WORKER_RESOURCE_LIMIT made by us", func(t *testing.T) {
			start := time.Now()
			got := exchange(t, g.addr, get("slow?ms=8000"))
			within(t, time.Since(start), 1900*time.Millisecond, 4*time.Second)
			if got.status != 546 || got.code() != "WORKER_RESOURCE_LIMIT" || !strings.Contains(got.body, `"code":"WORKER_RESOURCE_LIMIT"`) {
				t.Errorf("answered %d %s %s", got.status, got.code(), got.body)
			}
		}},
		{"contract 6.2 after headers: the stream is aborted although bytes flow", func(t *testing.T) {
			start := time.Now()
			conn := dial(t, g.addr)
			write(t, conn, get("sse?events=100&every=100"))
			got, err := readReply(conn, "GET")
			within(t, time.Since(start), 1900*time.Millisecond, 4*time.Second)
			if err == nil || got.status != 200 || !strings.Contains(got.body, `"n":5`) {
				t.Errorf("answered %d %q, %v", got.status, got.body, err)
			}
		}},
		{"contract 6.2 a WebSocket gets Close 1001", func(t *testing.T) {
			start := time.Now()
			ws := openWebSocket(t, g.addr)
			if err := ws.echo("hello"); err != nil {
				t.Fatal(err)
			}
			code, err := ws.closeCode()
			within(t, time.Since(start), 1900*time.Millisecond, 4*time.Second)
			if code != 1001 {
				t.Errorf("close code %d, %v, want 1001", code, err)
			}
		}},
		{"contract 6.2 a quick call is not touched", func(t *testing.T) {
			if got := exchange(t, g.addr, get("slow?ms=200")); got.status != 200 {
				t.Errorf("answered %d %s", got.status, got.body)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}
