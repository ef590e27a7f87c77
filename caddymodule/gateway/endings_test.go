package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// accessLog ends the block of the directive and begins that of the site's log, which is logged.
const accessLog = "}\nlog {\noutput kept\nformat json"

// breaking are functions that do not end as they should.
func breaking(w http.ResponseWriter, r *http.Request) {
	flush := func() { _ = http.NewResponseController(w).Flush() }
	switch strings.Split(r.URL.Path, "/")[1] {
	case "head-only":
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
		flush()
		panic(http.ErrAbortHandler)
	case "half":
		_, _ = io.WriteString(w, strings.Repeat("half of it ", 1000))
		flush()
		panic(http.ErrAbortHandler)
	case "falls-silent":
		_, _ = io.WriteString(w, strings.Repeat("half of it ", 1000))
		flush()
		<-r.Context().Done()
	case "no-status":
		w.WriteHeader(600)
	case "named":
		w.Header().Set("Server", "deno")
	case "answers-early":
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.WriteString(w, strings.Repeat("half of it ", 1000))
		flush()
		_, _ = io.Copy(io.Discard, r.Body)
	case "socket":
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		_, _ = io.Copy(io.Discard, buffered)
	}
}

// Contracts 6.1, 6.8, 5.13, 8.19: an answer that is not whole is never taken for one, and the access log
// has how each call ended.
func TestEndings(t *testing.T) {
	s := serve(t, "idle_timeout 1s\n"+public("head-only", "half", "falls-silent", "no-status", "named", "answers-early"), accessLog, breaking)
	for _, tc := range []struct {
		name, slug string
		status     int
		whole      bool
		outcome    callEnding
		code       string
	}{
		{"contract 6.8 nothing but a head", "head-only", 502, true, endBackendCut, "BACKEND_ERROR"},
		{"half an answer", "half", 200, false, endBackendCut, ""},
		{"contract 6.1 an answer that falls silent", "falls-silent", 200, false, endTimedOut, ""},
		{"contract 5.13 a status that is none", "no-status", 500, true, endRefused, "INVALID_RESPONSE_STATUS_CODE"},
		{"a server with a name", "named", 200, true, endComplete, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.call(t, "GET", "/functions/v1/"+tc.slug, "", "Origin", "https://app.example")
			if got.StatusCode != tc.status || (got.err == nil) != tc.whole || got.Header.Get("Sb-Error-Code") != tc.code || got.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%d %v %.100s %v", got.StatusCode, got.err, got.body, got.Header)
			}
			if tc.slug == "named" && got.Header.Get("Server") != "deno" {
				t.Errorf("the server is %q", got.Header.Values("Server"))
			}
			logged.expect(t, `"outcome":"`+string(tc.outcome)+`"`, `"sb_request_id":"`+got.Header.Get("Sb-Request-Id")+`"`, "http.log.access")
		})
	}
	t.Run("half an answer over HTTP/1.0", func(t *testing.T) {
		_, r := s.raw(t, fmt.Sprintf("GET /functions/v1/half HTTP/1.0\r\nHost: %s\r\n\r\n", s.address))
		if text, err := io.ReadAll(r); !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(string(text), "half of it") {
			t.Errorf("%v behind %d bytes: the end of the connection is the end of the answer", err, len(text))
		}
	})
	t.Run("an upload that breaks the rules while its answer goes out", func(t *testing.T) {
		conn, r := s.raw(t, fmt.Sprintf("POST /functions/v1/answers-early HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", s.address))
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", res, err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "no number\r\n")
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("the answer seems whole")
		}
		logged.expect(t, `"outcome":"refused"`, `"sb_request_id":"`+res.Header.Get("Sb-Request-Id")+`"`, "http.log.access")
	})
}

// socket opens a WebSocket.
func (s *site) socket(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, r := s.raw(t, fmt.Sprintf("GET /functions/v1/socket HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.address))
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	return conn, r
}

// goingAway reads a frame that must be Close 1001 with a reason.
func goingAway(t *testing.T, r *bufio.Reader, reason string) {
	t.Helper()
	frame := make([]byte, 4+len(reason))
	if _, err := io.ReadFull(r, frame); err != nil || string(frame) != "\x88"+string(rune(2+len(reason)))+"\x03\xe9"+reason {
		t.Errorf("%q, %v, want Close 1001 for %q", frame, err, reason)
	}
}

// Contract 6.1, 6.2, 6.6: a WebSocket whose time is up, or whose region is drained, gets Close 1001.
func TestWebSocketsEnd(t *testing.T) {
	for name, tc := range map[string]struct{ options, reason string }{
		"contract 6.1 it is silent":            {"idle_timeout 1s\n" + public("socket"), "idle timeout"},
		"contract 6.2 its wall clock runs out": {strings.Replace(public("socket"), "{\n", "{\nwall_clock 1s\n", 1), "wall clock limit"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, r := serve(t, tc.options, accessLog, breaking).socket(t)
			goingAway(t, r, tc.reason)
			_ = conn.Close()
			logged.expect(t, `"outcome":"timed_out"`, `"status":101`)
		})
	}
	t.Run("its region is drained", func(t *testing.T) {
		conn, r := serve(t, public("socket"), accessLog, breaking).socket(t)
		app := runningApp(t)
		answer, err := post(t, "drain", `{"region":"eu-central-1","over":"0s"}`)
		if err != nil || answer.WebSockets != 1 {
			t.Errorf("%+v, %v", answer, err)
		}
		again, err := post(t, "drain", `{"region":"eu-central-1","over":"1s"}`)
		if err != nil || !again.Ends.Equal(answer.Ends.Add(time.Second)) {
			t.Errorf("a drain that stands has another beginning: %v, %v, %v", answer.Ends, again.Ends, err)
		}
		if frame, err := r.Peek(4); err != nil || string(frame[:1])+string(frame[2:]) != "\x88\x03\xe9" {
			t.Errorf("%q, %v, want Close 1001", frame, err)
		}
		_ = conn.Close()
		logged.expect(t, `"outcome":"reloaded"`, `"status":101`)
		within(t, func() string {
			if n := app.Status().Sockets; n > 0 {
				return fmt.Sprint("sockets that are left: ", n)
			}
			return ""
		})
	})
}
