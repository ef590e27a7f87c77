package handover

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// connFixture is a connection in the hands of a server, seen from all sides: the client, the server's calls, and the
// connections that are handed over.
type connFixture struct {
	*sharedConn
	client net.Conn
	offers chan acceptance
}

// newConnFixture opens a connection whose server was replaced, if replaced is set.
func newConnFixture(t *testing.T, replaced bool) *connFixture {
	t.Helper()
	server, client := net.Pipe()
	shared := &sharedListener{accepted: make(chan acceptance), done: make(chan struct{})}
	use := &listenerUse{sharedListener: shared, closed: make(chan struct{}), conns: make(map[*sharedConn]struct{})}
	shared.uses = []*listenerUse{use}
	if replaced {
		shared.uses = append(shared.uses, new(listenerUse))
	}
	c := &sharedConn{Conn: server, use: use}
	use.conns[c] = struct{}{}
	c.attached()
	t.Cleanup(func() {
		close(shared.done)
		_ = client.Close()
		_ = server.Close()
	})
	return &connFixture{sharedConn: c, client: client, offers: shared.accepted}
}

// read has the client send the bytes and the server ask for as many as net/http does.
func (f *connFixture) read(t *testing.T, bytes string, asked int) string {
	t.Helper()
	go func() { _, _ = io.WriteString(f.client, bytes) }()
	p := make([]byte, asked)
	n, err := f.Read(p)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(p[:n])
}

// write has the server answer.
func (f *connFixture) write(t *testing.T) {
	t.Helper()
	go func() { _, _ = io.ReadFull(f.client, make([]byte, 2)) }()
	if _, err := f.Write([]byte("ok")); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// begin says that a handler has a request with a body of that length.
func (f *connFixture) begins(length int64) {
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	r.ContentLength = length
	Begin(r.WithContext(connContext(r.Context(), f.sharedConn)))
}

// ends closes the connection and returns what is handed over, or that it ended for good.
func (f *connFixture) ends(t *testing.T) (early string, moved bool) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if !f.moved {
		if _, err := f.client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v, want the end", err)
		}
		return "", false
	}
	select {
	case a := <-f.offers:
		if a.conn != f.Conn {
			t.Error("another connection was handed over")
		}
		if n := len(f.use.conns); n != 0 {
			t.Errorf("the old listener still knows %d connections", n)
		}
		return string(a.early), true
	case <-time.After(eventually):
		t.Fatal("nothing is handed over")
		return "", false
	}
}

// TestSharedConnClose closes a connection in each state that it can have.
func TestSharedConnClose(t *testing.T) {
	const (
		buffer = 4096
		head   = "POST / HTTP/1.1\r\nHost: a\r\n\r\n"
	)
	idle := func(f *connFixture) { connChanged(f.sharedConn, http.StateIdle) }
	active := func(f *connFixture) { connChanged(f.sharedConn, http.StateActive) }
	tests := map[string]struct {
		do    func(t *testing.T, f *connFixture)
		moved bool
		early string
	}{
		"nothing read":   {func(*testing.T, *connFixture) {}, true, ""},
		"part of a head": {func(t *testing.T, f *connFixture) { f.read(t, head[:9], buffer) }, true, head[:9]},
		"a head and more": {func(t *testing.T, f *connFixture) {
			if got := f.read(t, head+"next", buffer); got != head {
				t.Errorf("the server has %q", got)
			}
		}, true, head + "next"},
		"a head in two parts and more": {func(t *testing.T, f *connFixture) {
			f.read(t, head[:len(head)-1], buffer)
			if got := f.read(t, "\nnext", buffer); got != "\n" {
				t.Errorf("the server has %q", got)
			}
		}, true, head + "next"},
		"a head that the server dropped": {func(t *testing.T, f *connFixture) { f.read(t, head, buffer); active(f) }, true, head},
		"a request begun":                {func(t *testing.T, f *connFixture) { f.read(t, head, buffer); active(f); f.begins(0) }, false, ""},
		"a deadline set by a handler": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			active(f)
			if err := errors.Join(f.SetReadDeadline(time.Time{}), f.SetWriteDeadline(time.Time{}), f.SetDeadline(time.Time{})); err != nil {
				t.Error(err)
			}
		}, false, ""},
		"a deadline set before the head": {func(t *testing.T, f *connFixture) {
			if err := f.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
			f.read(t, head[:9], buffer)
		}, true, head[:9]},
		"an answer under way": {func(t *testing.T, f *connFixture) { f.read(t, head, buffer); f.write(t) }, false, ""},
		"an answer complete": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			f.begins(0)
			f.write(t)
			idle(f)
		}, true, ""},
		"one byte ahead": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			f.begins(0)
			f.read(t, "P", 1)
			f.write(t)
			idle(f)
		}, true, "P"},
		"a body of known length": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			f.begins(4)
			if got := f.read(t, "bodyPOST", buffer); got != "body" {
				t.Errorf("the server has %q", got)
			}
			idle(f)
			if got := f.read(t, "", buffer); got != "POST" {
				t.Errorf("the server has %q", got)
			}
		}, true, "POST"},
		"a body left in part": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			f.begins(4)
			f.read(t, "bo", buffer)
			idle(f)
		}, false, ""},
		"a body of unknown length": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			f.begins(-1)
			f.read(t, "0\r\n\r\nPOST", buffer)
			idle(f)
		}, false, ""},
		"a body of unknown length, then more than is buffered": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			f.begins(-1)
			f.read(t, "0\r\n\r\n", buffer)
			f.read(t, "x", 1)
			idle(f)
			f.read(t, "POST", buffer)
		}, true, "POST"},
		"a body read before its handler": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			active(f)
			f.read(t, "bodyPOST", buffer)
			f.begins(4)
			idle(f)
		}, false, ""},
		"line breaks after a body": {func(t *testing.T, f *connFixture) {
			f.read(t, head, buffer)
			f.begins(0)
			idle(f)
			f.read(t, "\r\nPOST", buffer)
		}, true, "\r\nPOST"},
		"a head beyond what is kept": {func(t *testing.T, f *connFixture) {
			for range maxRecorded/buffer + 1 {
				f.read(t, strings.Repeat("x", buffer), buffer)
			}
		}, false, ""},
		"TLS":    {func(t *testing.T, f *connFixture) { f.read(t, "\x16\x03\x01", buffer) }, false, ""},
		"HTTP/2": {func(t *testing.T, f *connFixture) { f.read(t, "PRI * HTTP/2.0\r\n\r\n", buffer) }, false, ""},
		"HTTP/2 byte by byte": {func(t *testing.T, f *connFixture) {
			f.read(t, "P", buffer)
			f.read(t, "R", buffer)
			f.read(t, "I", buffer)
		}, false, ""},
		"HTTP/2, idle": {func(t *testing.T, f *connFixture) { f.read(t, "PRI * HTTP/2.0\r\n", buffer); active(f); idle(f) }, false, ""},
		"PUT":          {func(t *testing.T, f *connFixture) { f.read(t, "P", buffer); f.read(t, "U", buffer) }, true, "PU"},
		"wrapped":      {func(t *testing.T, f *connFixture) { f.direct = false; f.read(t, "PO", buffer) }, false, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newConnFixture(t, true)
			tt.do(t, f)
			early, moved := f.ends(t)
			if moved != tt.moved || early != tt.early {
				t.Errorf("moved %t with %q, want %t with %q", moved, early, tt.moved, tt.early)
			}
			if !moved {
				return
			}
			// For the old server it is over, whatever it still does.
			if n, err := f.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("read after the handover: %d, %v", n, err)
			}
			if _, err := f.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("write after the handover: %v", err)
			}
			if err := errors.Join(f.SetDeadline(longAgo), f.Close()); err != nil {
				t.Errorf("after the handover: %v", err)
			}
			go func() { _, _ = f.client.Write([]byte("z")) }()
			if b := make([]byte, 1); true {
				if _, err := io.ReadFull(f.Conn, b); err != nil || b[0] != 'z' {
					t.Errorf("the new server reads %q, %v", b, err)
				}
			}
		})
	}
	t.Run("not replaced", func(t *testing.T) {
		if _, moved := newConnFixture(t, false).ends(t); moved {
			t.Error("handed over to nobody")
		}
	})
}

// TestSharedConnCloseDuringRead: the pending read ends with the handover, with or without bytes, and only for the server.
func TestSharedConnCloseDuringRead(t *testing.T) {
	for name, waiting := range map[string]func(*connFixture){
		"closed":     func(f *connFixture) { _ = f.Close() },
		"no request": func(f *connFixture) { f.moveIfWaiting() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newConnFixture(t, true)
			f.read(t, "GET", 4096)
			ended := make(chan error, 1)
			go func() {
				_, err := f.Read(make([]byte, 4096))
				ended <- err
			}()
			for reading := false; !reading; {
				f.mu.Lock()
				reading = f.reading
				f.mu.Unlock()
			}
			waiting(f)
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("the read ended with %v", err)
			}
			if a := <-f.offers; string(a.early) != "GET" {
				t.Errorf("handed over with %q", a.early)
			}
		})
	}
	t.Run("a server that stops reads no more", func(t *testing.T) {
		f := newConnFixture(t, true)
		f.read(t, "GET", 4096)
		close(f.use.closed)
		if _, err := f.Read(make([]byte, 4096)); !errors.Is(err, io.EOF) {
			t.Errorf("the read ended with %v", err)
		}
		if a := <-f.offers; string(a.early) != "GET" {
			t.Errorf("handed over with %q", a.early)
		}
	})
	t.Run("a request under way stays", func(t *testing.T) {
		f := newConnFixture(t, true)
		f.begins(0)
		f.moveIfWaiting()
		if f.moving || f.moved {
			t.Error("it is moved")
		}
	})
}

// TestSharedConnHalfClose: the server may end its side, where the socket can.
func TestSharedConnHalfClose(t *testing.T) {
	if err := newConnFixture(t, true).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe: %v", err)
	}
	use := listenOn(t, "0")
	defer use.Close()
	client := dial(t, use.Addr().String())
	conn, err := use.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*sharedConn).CloseWrite(); err != nil {
		t.Errorf("a socket: %v", err)
	}
	client.expectEnd(t)
}

// FuzzHeadEnd compares with looking at the whole: what follows a head must never reach the server's buffer, however
// the bytes came in.
func FuzzHeadEnd(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"), uint8(3))
	f.Add([]byte("\n\n\r\n\r\n"), uint8(1))
	f.Add([]byte("a\r\r\n\n\rb\n\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		want := -1
		for _, empty := range []string{"\n\n", "\n\r\n"} {
			if i := bytes.Index(b, []byte(empty)); i >= 0 && (want < 0 || i+len(empty) < want) {
				want = i + len(empty)
			}
		}
		got, seen := -1, 0
		for got < 0 && seen < len(b) {
			next := min(seen+int(step)+1, len(b))
			got = headEnd(b[:next], seen)
			seen = next
		}
		if got != want {
			t.Errorf("head of %q ends at %d, want %d", b, got, want)
		}
	})
}
