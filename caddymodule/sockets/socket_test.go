package sockets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// openSocket returns a registered socket and the client's end.
func openSocket(registry *Registry) (*Socket, net.Conn) {
	server, client := net.Pipe()
	s := &Socket{Conn: server, registry: registry}
	registry.add(s)
	return s, client
}

// goodbye is the Close that a client gets.
var goodbye = string(frame(8, 0, false, append([]byte{3, 0xe9}, reasonStopping...)))

// TestGoAway: Close 1001 comes at a frame boundary, and nothing after it (contract 6.6).
func TestGoAway(t *testing.T) {
	one, two := string(frame(1, 0, false, bytes.Repeat([]byte("1"), 200))), string(frame(2, 0, false, []byte("two")))
	tests := map[string]struct{ before, after, want string }{
		"before any frame":         {"", two, goodbye},
		"between two frames":       {one, two, one + goodbye},
		"in the middle of a frame": {one[:50], one[50:] + two, one + goodbye},
		"in a header":              {one[:3], one[3:] + two, one + goodbye},
		"one byte before the end":  {one[:len(one)-1], one[len(one)-1:] + two, one + goodbye},
		"after the first header":   {one[:1], one[1:], one + goodbye},
	}
	for name, tt := range tests {
		for _, chunk := range []int{1, 1000} {
			t.Run(fmt.Sprintf("%s, chunks of %d", name, chunk), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					registry := NewRegistry()
					s, client := openSocket(registry)
					got := make(chan string)
					go func() {
						read, _ := io.ReadAll(client)
						got <- string(read)
					}()
					write := func(b string) {
						for len(b) > 0 {
							n := min(chunk, len(b))
							// The backend is read on: its answer to the client's Close must pass the other way.
							if written, err := io.WriteString(s, b[:n]); err != nil || written != n {
								t.Errorf("write: %d of %d bytes, %v", written, n, err)
								return
							}
							b = b[n:]
						}
					}
					write(tt.before)
					s.GoAway(ServerClosed, reasonStopping)
					s.GoAway(ServerClosed, "again")
					write(tt.after)
					synctest.Wait()
					start := time.Now()
					if read := <-got; read != tt.want {
						t.Errorf("the client reads %q, want %q", read, tt.want)
					}
					if waited := time.Since(start); waited != closeWait {
						t.Errorf("the connection ended after %v", waited)
					}
					synctest.Wait() // the client hears of the end a little earlier than the registry
					if n := registry.Len(); n != 0 {
						t.Errorf("%d sockets are left", n)
					}
				})
			})
		}
	}
}

// TestGoAwayUnread: a client that does not read cannot hold anything up. It takes its time: under synctest no time
// passes while a goroutine waits for a mutex.
func TestGoAwayUnread(t *testing.T) {
	t.Parallel()
	registry := NewRegistry()
	s, client := openSocket(registry)
	defer client.Close()
	failed := make(chan error, 1)
	go func() {
		_, err := s.Write(frame(1, 0, false, []byte("nobody reads this")))
		failed <- err
	}()
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil { // the write has begun
		t.Fatal(err)
	}
	start := time.Now()
	registry.CloseAll()
	if waited := time.Since(start); waited > 2*closeWait {
		t.Errorf("it took %v", waited)
	}
	if err := <-failed; err == nil {
		t.Error("the write went through")
	}
}

// TestSocketReadsEarlyBytes: what a client sent with its request comes first.
func TestSocketReadsEarlyBytes(t *testing.T) {
	server, client := net.Pipe()
	go func() {
		_, _ = io.WriteString(client, "later")
		_ = client.Close()
	}()
	buffered := bufio.NewReader(io.MultiReader(strings.NewReader("early "), server))
	if _, err := buffered.Peek(3); err != nil {
		t.Fatal(err)
	}
	s := &Socket{Conn: server, early: buffered, registry: NewRegistry()}
	small := make([]byte, 2)
	if n, err := s.Read(small); err != nil || string(small[:n]) != "ea" {
		t.Errorf("read %q, %v", small[:n], err)
	}
	if rest, err := io.ReadAll(s); err != nil || string(rest) != "rly later" {
		t.Errorf("read %q, %v", rest, err)
	}
}

// TestSocketWriteErrors: a client that is gone ends the copy.
func TestSocketWriteErrors(t *testing.T) {
	s, client := openSocket(NewRegistry())
	_ = client.Close()
	if _, err := s.Write([]byte{0x81, 0}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write: %v", err)
	}
	_ = s.Close()
}

// TestOutcome: who ended a WebSocket, and how.
func TestOutcome(t *testing.T) {
	closeFrame := frame(8, 0, false, nil)
	write := func(t *testing.T, to io.Writer, from io.Reader, b []byte) {
		t.Helper()
		got := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(from, make([]byte, len(b)))
			got <- err
		}()
		if _, err := to.Write(b); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := <-got; err != nil {
			t.Errorf("read: %v", err)
		}
	}
	for name, tt := range map[string]struct {
		do   func(t *testing.T, s *Socket, client net.Conn)
		want Outcome
	}{
		"the backend ends":  {func(*testing.T, *Socket, net.Conn) {}, BackendCut},
		"the backend talks": {func(t *testing.T, s *Socket, client net.Conn) { write(t, s, client, frame(1, 0, false, []byte("a"))) }, BackendCut},
		"the backend says Close": {func(t *testing.T, s *Socket, client net.Conn) {
			write(t, s, client, closeFrame)
		}, Complete},
		"the client says Close": {func(t *testing.T, s *Socket, client net.Conn) {
			write(t, client, s, frame(8, 0, true, nil))
			_ = client.Close()
			_, _ = s.Read(make([]byte, 1))
		}, Complete},
		"the client goes, seen by reading": {func(_ *testing.T, s *Socket, client net.Conn) {
			_ = client.Close()
			_, _ = s.Read(make([]byte, 1))
		}, ClientGone},
		"the client goes, seen by writing": {func(_ *testing.T, s *Socket, client net.Conn) {
			_ = client.Close()
			_, _ = s.Write(frame(1, 0, false, nil))
		}, ClientGone},
		"closed here, then an error": {func(_ *testing.T, s *Socket, _ net.Conn) {
			_ = s.Close()
			_, _ = s.Read(make([]byte, 1))
		}, BackendCut},
		"a limit, though the client is gone": {func(_ *testing.T, s *Socket, client net.Conn) {
			_ = client.Close()
			_, _ = s.Read(make([]byte, 1))
			s.GoAway(TimedOut, "idle timeout")
			s.GoAway(ServerClosed, reasonStopping)
		}, TimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := openSocket(NewRegistry())
			tt.do(t, s, client)
			_ = s.Close()
			if got := s.Outcome(); got != tt.want {
				t.Errorf("outcome %d, want %d", got, tt.want)
			}
			_ = client.Close()
		})
	}
}

// TestBytesOut: what of the backend was written counts, a Close frame of the gateway's does not.
func TestBytesOut(t *testing.T) {
	s, client := openSocket(NewRegistry())
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(client)
		read <- string(all)
	}()
	message := frame(1, 0, false, []byte("hello"))
	if _, err := s.Write(message); err != nil {
		t.Fatal(err)
	}
	s.GoAway(ServerClosed, reasonStopping)
	_ = s.Close()
	if got := <-read; got != string(message)+goodbye {
		t.Errorf("the client reads %q", got)
	}
	if n := s.BytesOut(); n != uint64(len(message)) {
		t.Errorf("%d bytes, want %d", n, len(message))
	}
}
