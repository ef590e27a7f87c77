//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestRawBodies sends bodies in the ways that only a socket can.
func TestRawBodies(t *testing.T) {
	g, b := startRawGateway(t, "")
	deno := startGateway(t, config{})
	t.Run("contract 6.5 chunks with pauses and extensions arrive as one body", func(t *testing.T) {
		conn := dial(t, deno.addr)
		write(t, conn, rawRequest("POST", "/functions/v1/echo", "any.example", "", withToken(), "Transfer-Encoding: chunked"))
		for _, piece := range []string{"first ", "second ", "third"} {
			<-time.After(150 * time.Millisecond)
			write(t, conn, fmt.Sprintf("%x;ext=1\r\n%s\r\n", len(piece), piece))
		}
		write(t, conn, "0\r\n\r\n")
		got, err := readReply(conn, "POST")
		if err != nil || got.status != 200 || !strings.Contains(got.body, `"body":"first second third"`) {
			t.Errorf("answered %d %s, %v", got.status, got.body, err)
		}
	})
	t.Run("contract 6.5 the first byte reaches the backend before the last is sent", func(t *testing.T) {
		for _, framing := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
			chunked := strings.HasPrefix(framing, "T")
			first, rest := "a", "bcdefghij"
			if chunked {
				first, rest = "1\r\na\r\n", "9\r\nbcdefghij\r\n0\r\n\r\n"
			}
			conn := dial(t, g.addr)
			write(t, conn, rawRequest("POST", "/functions/v1/f/wait", "any.example", first, framing))
			timeout := time.NewTimer(5 * time.Second)
			defer timeout.Stop()
			select {
			case <-b.firstByte:
			case <-timeout.C:
				t.Fatalf("%s: the body was held back", framing)
			}
			write(t, conn, rest)
			if got, err := readReply(conn, "POST"); err != nil || got.status != 200 {
				t.Errorf("%s: answered %d, %v", framing, got.status, err)
			}
		}
	})
	t.Run("contract 5.30 a refusal of a large body is not lost in a reset", func(t *testing.T) {
		for _, connection := range []string{"keep-alive", "close"} {
			for range 10 {
				conn := dial(t, g.addr)
				body := strings.Repeat("x", 1<<20)
				sent := rawRequest("POST", "/functions/v1/locked", "any.example", body,
					"Connection: "+connection, fmt.Sprintf("Content-Length: %d", len(body)))
				_, writeErr := io.WriteString(conn, sent) // may fail: the answer may come before the end of the body
				if got, err := readReply(conn, "POST"); err != nil || got.status != 401 {
					t.Errorf("Connection: %s: answered %d, %v, after writing: %v", connection, got.status, err, writeErr)
					break
				}
			}
		}
	})
	t.Run("contract 1.3 one connection carries many requests, each judged by itself", func(t *testing.T) {
		conn := dial(t, g.addr)
		r := bufio.NewReader(conn)
		for i, want := range []int{200, 404, 200, 401, 405, 200} {
			target := map[int]string{200: "/functions/v1/f", 404: "/elsewhere", 401: "/functions/v1/locked", 405: "/functions/v1/f"}[want]
			method := "GET"
			if want == 405 {
				method = "PROPFIND"
			}
			write(t, conn, rawRequest(method, target, "any.example", ""))
			got, err := readReplyFrom(r, method)
			if err != nil || got.status != want {
				t.Fatalf("request %d on the connection: %d, %v, want %d", i+1, got.status, err, want)
			}
		}
	})
	t.Run("contract 6.5 Expect: 100-continue is answered when the body is wanted", func(t *testing.T) {
		conn := dial(t, g.addr)
		r := bufio.NewReader(conn)
		write(t, conn, rawRequest("POST", "/functions/v1/f", "any.example", "", "Expect: 100-continue", "Content-Length: 4"))
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("got %q, %v", line, err)
		}
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		write(t, conn, "body")
		if got, err := readReplyFrom(r, "POST"); err != nil || got.status != 200 || got.body != "read 4" {
			t.Errorf("answered %d %q, %v", got.status, got.body, err)
		}
	})
	t.Run("contract 5.30 Expect: 100-continue of a refused request gets the refusal at once (RFC 9110 10.1.1)", func(t *testing.T) {
		got := exchange(t, g.addr, rawRequest("POST", "/functions/v1/locked", "any.example", "",
			"Expect: 100-continue", "Content-Length: 4"))
		if got.status != 401 {
			t.Errorf("answered %d, want 401", got.status)
		}
	})
}

// TestRawSmuggling sends requests whose end two servers could see at different places. Each is refused before the
// backend hears of it, or reaches it as one unambiguous request; the hidden one never does.
func TestRawSmuggling(t *testing.T) {
	g, b := startRawGateway(t, "")
	const hidden = "GET /functions/v1/f/hidden HTTP/1.1\r\nHost: any.example\r\n\r\n"
	tests := []struct {
		name, raw string
		refused   bool
	}{
		{"two lengths that differ", "Content-Length: 5\r\nContent-Length: 60\r\n\r\nhello" + hidden, true},
		{"a list of lengths", "Content-Length: 5, 60\r\n\r\nhello" + hidden, true},
		{"a signed length", "Content-Length: +5\r\n\r\nhello" + hidden, true},
		{"a negative length", "Content-Length: -1\r\n\r\n", true},
		{"a hexadecimal length", "Content-Length: 0x5\r\n\r\nhello" + hidden, true},
		{"a space before the colon", "Content-Length : 5\r\n\r\nhello" + hidden, true},
		{"an unknown transfer coding", "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello" + hidden, true},
		{"chunked not last", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden, true},
		{"two transfer codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden, true},
		{"a vertical tab in the coding", "Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\nhello" + hidden, true},
		{"a bad chunk size", "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", true},
		{"a NUL in a header", "X-A: b\x00c\r\n\r\n", true},
		{"two hosts", "Host: other.example\r\n\r\n", true},
		{"a negative chunk size", "Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n", true},
		{"length and chunked", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n", len(hidden)) + hidden + "\r\n0\r\n\r\n", false},
		{"chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 400\r\n\r\n0\r\n\r\n", false},
		{"a bare line feed in a chunk extension", "Transfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n", false},
	}
	for _, tt := range tests {
		t.Run("contract 1.3 "+tt.name, func(t *testing.T) {
			b.take()
			conn := dial(t, g.addr)
			write(t, conn, "POST /functions/v1/f HTTP/1.1\r\nHost: any.example\r\n"+tt.raw)
			_ = conn.(*net.TCPConn).CloseWrite()
			out, _ := io.ReadAll(conn) // a reset is as good as an end
			answer := string(out)
			heads := b.take()
			if tt.refused && !strings.HasPrefix(answer, "HTTP/1.1 400") && !strings.HasPrefix(answer, "HTTP/1.1 501") &&
				!strings.HasPrefix(answer, "HTTP/1.1 408") && !strings.HasPrefix(answer, "HTTP/1.1 502") && answer != "" {
				t.Errorf("answered %.60q, want a refusal", answer)
			}
			if strings.HasPrefix(answer, "HTTP/1.1 502") {
				t.Errorf("the client's fault was put on the backend: %.60q", answer)
			}
			for _, head := range heads {
				if target := requestTarget(head); target != "/f" {
					t.Errorf("the hidden request reached the backend as %q", target)
				}
				if len(headerValues(head, "Content-Length"))+len(headerValues(head, "Transfer-Encoding")) > 1 {
					t.Errorf("the backend got an ambiguous head:\n%s", head)
				}
			}
			if len(heads) > 1 {
				t.Errorf("the backend got %d requests", len(heads))
			}
			if got := exchange(t, g.addr, rawRequest("GET", "/functions/v1/f/after", "any.example", "")); got.status != 200 || got.body != "read 0" {
				t.Errorf("the next request was answered %d %q", got.status, got.body)
			}
			// A request that was cut short may reach the backend after it was answered here.
			for _, head := range b.take() {
				if target := requestTarget(head); target != "/f/after" && target != "/f" {
					t.Errorf("after it the backend got %q", target)
				}
			}
		})
	}
}

// TestRawBackendFaults has a backend that breaks in each way.
func TestRawBackendFaults(t *testing.T) {
	g, b := startRawGateway(t, "")
	tests := []struct {
		name, path string
		status     int
		code       string
	}{
		{"5 502 connection closed before a response", "/drop", 502, "BACKEND_ERROR"},
		{"5 502 no HTTP", "/garbage", 502, "BACKEND_ERROR"},
		{"5 500 a status of 600 or more", "/status-600", 500, "INVALID_RESPONSE_STATUS_CODE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.take()
			got := exchange(t, g.addr, rawRequest("POST", "/functions/v1/f"+tt.path, "any.example", "body", "Content-Length: 4", "Origin: https://a.example"))
			if got.status != tt.status || got.code() != tt.code {
				t.Errorf("answered %d %s %s, want %d %s", got.status, got.code(), got.body, tt.status, tt.code)
			}
			if strings.Contains(got.body, "127.0.0.1") || strings.Contains(got.body, "EOF") || strings.Contains(got.body, "malformed") {
				t.Errorf("contract 5.33 the inside shows in %q", got.body)
			}
			if got.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("contract 4.4 the answer has no CORS headers")
			}
			if values := got.header.Values("x-sb-edge-region"); len(values) != 1 || values[0] != regionNames[0] {
				t.Errorf("contract 2.7 x-sb-edge-region is %q", values)
			}
			if heads := b.take(); len(heads) != 1 {
				t.Errorf("a POST that may have run was sent %d times, want once", len(heads))
			}
		})
	}
	for _, path := range []string{"/die", "/die-chunked"} {
		t.Run("contract 5.31 a body that breaks off at the backend breaks off at the client: "+path, func(t *testing.T) {
			conn := dial(t, g.addr)
			write(t, conn, rawRequest("GET", "/functions/v1/f"+path, "any.example", ""))
			got, err := readReply(conn, "GET")
			if err == nil {
				t.Errorf("the answer %d %q passed as whole", got.status, got.body)
			}
			// With a length known the headers may still have waited for more bytes; an error status would be a lie.
			if got.status != 200 && got.status != 0 {
				t.Errorf("status %d, want the backend's 200 or none", got.status)
			}
		})
	}
}
