package sockets

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// hijackable is a server's writer whose connection can be taken over.
type hijackable struct {
	http.ResponseWriter
	conn net.Conn
	in   string // what the server read ahead of the client
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	in := bufio.NewReader(io.MultiReader(strings.NewReader(h.in), h.conn))
	if _, err := in.Peek(len(h.in)); err != nil {
		return nil, nil, err
	}
	return h.conn, bufio.NewReadWriter(in, bufio.NewWriter(h.conn)), nil
}

// noDeadlines is a connection that takes none.
type noDeadlines struct{ net.Conn }

var errNoDeadlines = errors.New("no deadlines")

func (noDeadlines) SetDeadline(time.Time) error { return errNoDeadlines }

func TestWriterHijack(t *testing.T) {
	registry := NewRegistry()
	server, client := net.Pipe()
	defer client.Close()
	var switched *Socket
	w := &Writer{
		ResponseWriter: &hijackable{ResponseWriter: httptest.NewRecorder(), conn: server, in: "early"},
		Registry:       registry,
		Region:         func() string { return "eu-central-1" },
		Switched: func(s *Socket) {
			switched = s
			if registry.InRegion("eu-central-1") != 1 {
				t.Error("the socket is not registered yet")
			}
		},
	}
	if err := server.SetDeadline(time.Unix(1, 0)); err != nil { // as the server's idle timeout may have
		t.Fatal(err)
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Fatal(err)
	}
	if conn != net.Conn(switched) {
		t.Error("another connection was handed out")
	}
	if switched.drainAt < 0 || switched.drainAt >= 1 {
		t.Errorf("place %v in a drain", switched.drainAt)
	}
	early := make([]byte, 5)
	if _, err := io.ReadFull(conn, early); err != nil || string(early) != "early" {
		t.Errorf("read %q, %v", early, err)
	}
	go func() { _, _ = io.WriteString(client, "later") }()
	if _, err := io.ReadFull(conn, early); err != nil || string(early) != "later" {
		t.Errorf("read %q, %v", early, err)
	}
	_ = conn.Close()
	if n := registry.Len(); n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}

// What cannot be hijacked is registered nowhere.
func TestWriterHijackErrors(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	for name, tt := range map[string]struct {
		inner http.ResponseWriter
		want  error
	}{
		"no hijacker":  {httptest.NewRecorder(), http.ErrNotSupported},
		"no deadlines": {&hijackable{ResponseWriter: httptest.NewRecorder(), conn: noDeadlines{server}}, errNoDeadlines},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Writer{
				ResponseWriter: tt.inner,
				Registry:       NewRegistry(),
				Region:         func() string { return "" },
				Switched:       func(*Socket) { t.Error("switched") },
			}
			if _, _, err := w.Hijack(); !errors.Is(err, tt.want) {
				t.Errorf("hijacked: %v, want %v", err, tt.want)
			}
			if w.Registry.Len() != 0 {
				t.Error("a socket is registered")
			}
		})
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection that takes no deadlines: %v, want its end", err)
	}
}
