//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// played is a backend whose answers are played byte by byte: each call has a play of its own, which gets the connection
// once the head of the request is read, and the connection ends with it.
type played struct {
	addr  string
	plays sync.Map // of string, the last segment of the path, to play
	next  atomic.Int64
}

// play answers one request. The body is still to be read.
type play func(conn net.Conn, body io.Reader)

// says plays an answer as it stands, after the request's body was read.
func says(answer string) play {
	return func(conn net.Conn, body io.Reader) {
		_, _ = io.Copy(io.Discard, body)
		_, _ = io.WriteString(conn, answer)
	}
}

func startPlayed(t *testing.T) *played {
	t.Helper()
	b := new(played)
	b.addr = listenRaw(t, b.serve)
	return b
}

func (b *played) serve(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	path := strings.Split(req.URL.Path, "/")
	if p, ok := b.plays.Load(path[len(path)-1]); ok {
		p.(play)(conn, req.Body)
		return
	}
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

// add returns the target of a call that p answers.
func (b *played) add(p play) string {
	name := fmt.Sprint(b.next.Add(1))
	b.plays.Store(name, p)
	return "/functions/v1/f/" + name
}

// startPlayedGateway has one region, with room for ten calls.
func startPlayedGateway(t *testing.T, c config) (*gateway, *played) {
	t.Helper()
	b := startPlayed(t)
	c.backends = []backend{{region: regionNames[0], address: b.addr, more: "\t\t\tcapacity 10\n"}}
	c.functions = rawFunctions
	return startGateway(t, c), b
}
