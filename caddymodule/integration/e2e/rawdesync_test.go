//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestRawUnreadBodies answers before a request's body was read and makes sure that the rest of that body is never taken
// for a next request: behind a proxy that shares connections it would be somebody else's. The body is requests.
func TestRawUnreadBodies(t *testing.T) {
	g, b := startRawGateway(t, "\t\tmax_body 1MB")
	const hidden = "GET /functions/v1/f/hidden HTTP/1.1\r\nHost: any.example\r\n\r\n"
	body := strings.Repeat(hidden, 3<<20/len(hidden))
	length := fmt.Sprintf("Content-Length: %d", len(body))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	less := strings.Repeat(hidden, 900_000/len(hidden)) // below max_body
	tests := []struct {
		name, target, framing, body string
		status                      int
	}{
		{"413 by Content-Length", "/functions/v1/f", length, body, 413},
		{"413 while a chunked body streams", "/functions/v1/f", "Transfer-Encoding: chunked", chunked, 413},
		{"401", "/functions/v1/locked", length, body, 401},
		{"401 of a chunked body", "/functions/v1/locked", "Transfer-Encoding: chunked", chunked, 401},
		{"404", "/elsewhere", length, body, 404},
		{"502 while a chunked body streams", "/functions/v1/f/drop", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(less), less), 502},
		{"the function's early 403", "/functions/v1/f/early", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(less), less), 403},
		{"the function's early 403, small body", "/functions/v1/f/early", fmt.Sprintf("Content-Length: %d", len(hidden)), hidden, 403},
	}
	for _, tt := range tests {
		t.Run("contract 1.3 "+tt.name, func(t *testing.T) {
			for range 3 {
				b.take()
				conn := dial(t, g.addr)
				if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
					t.Fatal(err)
				}
				written := make(chan error, 1)
				go func() {
					_, err := io.WriteString(conn, rawRequest("POST", tt.target, "any.example", tt.body, tt.framing))
					written <- err // an error is fine: the connection may be closed after the answer
				}()
				r := bufio.NewReader(conn)
				got, err := readReplyFrom(r, "POST")
				if err != nil || got.status != tt.status {
					t.Errorf("answered %d %s, %v, want %d", got.status, got.body, err, tt.status)
				}
				// The connection ends, or is silent until its next request: no second answer may come.
				_ = conn.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
				if line, err := r.ReadString('\n'); err == nil {
					t.Errorf("the rest of the body was answered with %q", strings.TrimSpace(line))
				}
				conn.Close()
				<-written
				for _, head := range b.take() {
					if strings.HasSuffix(requestTarget(head), "/hidden") {
						t.Errorf("the rest of the body reached the backend as %q", requestTarget(head))
						break
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}
