//go:build e2e

package billing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// clockedRedis passes on to a Redis what clients send, and answers TIME by a clock of the test, also in scripts.
type clockedRedis struct {
	to       string // the address of the Redis
	listener net.Listener
	done     sync.WaitGroup

	mu    sync.Mutex // guards all below
	now   func() time.Time
	conns map[net.Conn]bool
}

// newClockedRedis returns one that ends with the test.
func newClockedRedis(t *testing.T, to string) *clockedRedis {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &clockedRedis{to: to, listener: l, now: time.Now, conns: make(map[net.Conn]bool)}
	r.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.done.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.done.Wait()
	})
	return r
}

// URL names it as in a Caddyfile.
func (r *clockedRedis) URL() string { return "redis://" + r.listener.Addr().String() }

// follow has it answer by a clock.
func (r *clockedRedis) follow(now func() time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

// at is the time of the clock, in the two parts in which Redis has it.
func (r *clockedRedis) at() (seconds, micros string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.now()
	return strconv.FormatInt(at.Unix(), 10), strconv.Itoa(at.Nanosecond() / 1000)
}

func (r *clockedRedis) time() []byte {
	seconds, micros := r.at()
	return fmt.Appendf(nil, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(seconds), seconds, len(micros), micros)
}

// timed is a command in whose script the calls of TIME are replaced by the time. Redis never knows such a script by its hash, so
// that clients send its text each time.
func (r *clockedRedis) timed(command []byte) []byte {
	parts := bytes.SplitN(command, []byte("\r\n"), 5) // *N, $4, eval, $length, and the rest
	if len(parts) < 5 || !bytes.EqualFold(parts[2], []byte("eval")) {
		return command
	}
	length, err := strconv.Atoi(string(parts[3][1:]))
	if err != nil || length > len(parts[4]) {
		return command
	}
	seconds, micros := r.at()
	now := fmt.Appendf(nil, "{'%s', '%s'}", seconds, micros)
	script := bytes.ReplaceAll(parts[4][:length], []byte("redis.call('TIME')"), now)
	parts[3], parts[4] = fmt.Appendf(nil, "$%d", len(script)), append(script, parts[4][length:]...)
	return bytes.Join(parts, []byte("\r\n"))
}

// serve passes on a connection until either end closes it.
func (r *clockedRedis) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	r.conns[client] = true
	r.mu.Unlock()
	asked := make(chan bool, 1<<16) // of each command without an answer: whether it is TIME
	r.done.Go(func() {
		defer server.Close()
		for from := bufio.NewReader(client); ; {
			command, err := readValue(from)
			if err != nil {
				return
			}
			asked <- strings.EqualFold(string(command), "*1\r\n$4\r\ntime\r\n")
			if _, err := server.Write(r.timed(command)); err != nil {
				return
			}
		}
	})
	for from := bufio.NewReader(server); ; {
		reply, err := readValue(from)
		if err != nil {
			break
		}
		if reply[0] != '>' && <-asked { // a push answers nothing
			reply = r.time()
		}
		if _, err := client.Write(reply); err != nil {
			break
		}
	}
	r.mu.Lock()
	delete(r.conns, client)
	r.mu.Unlock()
}

// readValue reads one value of the protocol of Redis, as it is sent.
func readValue(r *bufio.Reader) ([]byte, error) {
	value, err := r.ReadBytes('\n')
	if err != nil || len(value) < 3 {
		return value, errors.Join(err, io.ErrUnexpectedEOF)
	}
	kind := value[0]
	if !strings.ContainsRune("$=!*~>%", rune(kind)) {
		return value, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(value[1:])))
	if err != nil || n < 0 {
		return value, err
	}
	if strings.ContainsRune("$=!", rune(kind)) {
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return append(value, text...), err
	}
	if kind == '%' {
		n *= 2
	}
	for range n {
		part, err := readValue(r)
		if err != nil {
			return value, err
		}
		value = append(value, part...)
	}
	return value, nil
}
