//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reply is an HTTP answer as read from a raw socket.
type reply struct {
	status int
	header http.Header
	body   string
}

// code is the answer's sb-error-code.
func (r reply) code() string { return r.header.Get("sb-error-code") }

// dial opens a raw connection that cannot outlive the test or hang it.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// write sends text and fails the test if the other side does not take it.
func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatalf("writing to the gateway: %v", err)
	}
}

// readReply reads one whole answer; method matters for HEAD alone.
func readReply(conn net.Conn, method string) (reply, error) {
	return readReplyFrom(bufio.NewReader(conn), method)
}

func readReplyFrom(r *bufio.Reader, method string) (reply, error) {
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(body)}, err
}

// exchange sends raw bytes on a new connection and reads one answer.
func exchange(t *testing.T, addr, raw string) reply {
	t.Helper()
	conn := dial(t, addr)
	if err := conn.SetDeadline(time.Now().Add(12 * time.Second)); err != nil {
		t.Fatal(err)
	}
	write(t, conn, raw)
	method, _, _ := strings.Cut(raw, " ")
	got, err := readReply(conn, method)
	if err != nil {
		t.Fatalf("reading the answer to %.80q: %v", raw, err)
	}
	return got
}

// rawRequest is a request head (and body) with the target byte for byte as given.
func rawRequest(method, target, host, body string, header ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return b.String()
}

// withToken is the Authorization line of the anon key.
func withToken() string { return "Authorization: Bearer " + anonToken() }

// deadAddress is a loopback address that refuses connections until the test ends: its port is bound, so that nobody else
// can get it, and not listened on.
func deadAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}
