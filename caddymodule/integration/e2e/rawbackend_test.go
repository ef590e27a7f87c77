//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// backendSecret is in the bytes that a faulty answer of the raw backend holds.
const backendSecret = "e2eBytesOfABody"

// rawBackend is a backend that keeps the bytes of each request's head as they came: Deno shows a parsed URL and merged
// headers. What it answers depends on the end of the request's path.
type rawBackend struct {
	addr string

	mu    sync.Mutex // guards heads
	heads []string

	// firstByte gets the first body byte of each request to .../wait as soon as it arrives.
	firstByte chan byte
}

func startRawBackend(t *testing.T) *rawBackend {
	t.Helper()
	b := &rawBackend{firstByte: make(chan byte, 16)}
	b.addr = listenRaw(t, b.serve)
	return b
}

func (b *rawBackend) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		head, err := readHead(r)
		if err != nil {
			return
		}
		if probe := requestTarget(head) == "/_internal/health" && strings.Contains(head, "edgegate-health"); !probe {
			b.mu.Lock()
			b.heads = append(b.heads, head)
			b.mu.Unlock()
		}
		req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), r)))
		if err != nil {
			// A target that Go's own parser refuses has no body here.
			req = &http.Request{Body: http.NoBody}
		}
		if !b.answer(conn, requestTarget(head), req.Body) {
			return
		}
	}
}

// answer writes one response and reports whether the connection stays usable.
func (b *rawBackend) answer(conn net.Conn, target string, body io.Reader) bool {
	path, _, _ := strings.Cut(target, "?")
	if strings.HasSuffix(path, "/wait") {
		one := make([]byte, 1)
		if _, err := io.ReadFull(body, one); err != nil {
			return false
		}
		b.firstByte <- one[0]
	}
	if strings.HasSuffix(path, "/early") {
		// An answer before the body was read, as a function gives that judges by the headers.
		fmt.Fprint(conn, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly")
		_, _ = io.Copy(io.Discard, body)
		return false
	}
	if strings.HasSuffix(path, "/drop") {
		return false // before a byte of the response
	}
	n, err := io.Copy(io.Discard, body)
	if err != nil {
		return false
	}
	switch {
	case strings.HasSuffix(path, "/die"):
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nonly this")
		return false
	case strings.HasSuffix(path, "/die-chunked"):
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
		return false
	case strings.HasSuffix(path, "/garbage"):
		fmt.Fprint(conn, "this is no HTTP "+backendSecret+"\r\n\r\n")
		return false
	case strings.HasSuffix(path, "/extra"):
		// More than was announced, in the way a backend does that lost count of its body.
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"+backendSecret)
		return true
	case strings.HasSuffix(path, "/status-600"):
		fmt.Fprint(conn, "HTTP/1.1 666 Beyond\r\nContent-Length: 0\r\n\r\n")
		return true
	case strings.HasSuffix(path, "/paused"):
		// A body with a Content-Length that is silent in the middle.
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
		<-time.After(3500 * time.Millisecond)
		fmt.Fprint(conn, "after")
		return true
	}
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\nread %d",
		len(fmt.Sprint(n))+5, n)
	return true
}

// take returns the heads since the last call.
func (b *rawBackend) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	heads := b.heads
	b.heads = nil
	return heads
}

func readHead(r *bufio.Reader) (string, error) {
	var head bytes.Buffer
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return "", err
		}
		head.Write(line)
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return head.String(), nil
		}
	}
}

// requestTarget is the bytes between the method and the version of a head's first line.
func requestTarget(head string) string {
	line, _, _ := strings.Cut(head, "\r\n")
	_, rest, _ := strings.Cut(line, " ")
	return strings.TrimSuffix(rest, " HTTP/1.1")
}

// headerValues are a head's values of one header, in order.
func headerValues(head, name string) []string {
	var found []string
	for _, line := range strings.Split(head, "\r\n")[1:] {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(key, name) {
			found = append(found, strings.TrimSpace(value))
		}
	}
	return found
}
