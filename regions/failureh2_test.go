package regions

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2server is a backend over h2c that answers in frames of its own making.
type h2server struct {
	address string
	conns   atomic.Int32
	streams atomic.Int32 // requests
}

// h2answer is one request to an h2server.
type h2answer struct {
	*http2.Framer
	conn   net.Conn
	stream uint32
	path   string
	mu     *sync.Mutex // held while the answer is written
}

// serveFrames runs answer for each request, one after another on a connection.
func serveFrames(t *testing.T, answer func(a *h2answer)) *h2server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &h2server{address: "h2c://" + listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			t.Cleanup(func() { _ = conn.Close() })
			running.Go(func() { s.serve(conn, answer) })
		}
	})
	t.Cleanup(func() { _ = listener.Close() })
	return s
}

func (s *h2server) serve(conn net.Conn, answer func(a *h2answer)) {
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	var mu sync.Mutex
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				mu.Lock()
				_ = f.WriteSettingsAck()
				mu.Unlock()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				mu.Lock()
				_ = f.WritePing(true, frame.Data)
				mu.Unlock()
			}
		case *http2.MetaHeadersFrame:
			if path := frame.PseudoValue("path"); path != DefaultHealthURI {
				s.streams.Add(1)
				mu.Lock()
				answer(&h2answer{f, conn, frame.StreamID, path, &mu})
				mu.Unlock()
			}
		}
	}
}

// headers sends a header block in as many frames as it takes.
func (a *h2answer) headers(end bool, fields ...string) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	for started := false; ; started = true {
		part := block.Next(16 << 10)
		last := block.Len() == 0
		if !started {
			_ = a.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: part, EndStream: end, EndHeaders: last})
		} else {
			_ = a.WriteContinuation(a.stream, last, part)
		}
		if last {
			return
		}
	}
}

func (a *h2answer) ok() { a.headers(true, ":status", "200") }

// Contract 9.2, 9.3: whatever one function answers over HTTP/2, its backend is
// not blamed, and the answer is soon there.
func TestAnswersOverHTTP2BlameNobody(t *testing.T) {
	defer log.SetOutput(log.Writer()) // net/http says so for each
	log.SetOutput(io.Discard)
	huge := bytes.Repeat([]byte("x"), 100<<10)
	for name, answer := range map[string]func(a *h2answer){
		"RST_STREAM INTERNAL_ERROR": func(a *h2answer) { _ = a.WriteRSTStream(a.stream, http2.ErrCodeInternal) },
		"RST_STREAM CANCEL":         func(a *h2answer) { _ = a.WriteRSTStream(a.stream, http2.ErrCodeCancel) },
		// These two are sent again by net/http, for ever on new connections.
		"RST_STREAM PROTOCOL_ERROR":         func(a *h2answer) { _ = a.WriteRSTStream(a.stream, http2.ErrCodeProtocol) },
		"RST_STREAM FLOW_CONTROL_ERROR":     func(a *h2answer) { _ = a.WriteRSTStream(a.stream, http2.ErrCodeFlowControl) },
		"RST_STREAM HTTP_1_1_REQUIRED":      func(a *h2answer) { _ = a.WriteRSTStream(a.stream, http2.ErrCodeHTTP11Required) },
		"RST_STREAM ENHANCE_YOUR_CALM":      func(a *h2answer) { _ = a.WriteRSTStream(a.stream, http2.ErrCodeEnhanceYourCalm) },
		"GOAWAY PROTOCOL_ERROR and the end": func(a *h2answer) { _ = a.WriteGoAway(a.stream, http2.ErrCodeProtocol, nil); _ = a.conn.Close() },
		"no status":                         func(a *h2answer) { a.headers(true, "a", "b") },
		"a status that is no number":        func(a *h2answer) { a.headers(true, ":status", "abc") },
		"a header in capitals":              func(a *h2answer) { a.headers(true, ":status", "200", "Upper", "b") },
		"a pseudo-header after others":      func(a *h2answer) { a.headers(true, "a", "b", ":status", "200") },
		"1xx and the end":                   func(a *h2answer) { a.headers(true, ":status", "103") },
		"headers of 300 KiB": func(a *h2answer) {
			a.headers(true, ":status", "200", "a", string(huge), "b", string(huge), "c", string(huge))
		},
		"headers of 2 MiB": func(a *h2answer) {
			fields := []string{":status", "200"}
			for range 20 {
				fields = append(fields, "a", string(huge))
			}
			a.headers(true, fields...)
		},
		"broken compression": func(a *h2answer) {
			_ = a.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		},
		"data before headers":       func(a *h2answer) { _ = a.WriteData(a.stream, true, []byte("x")) },
		"a frame that is too large": func(a *h2answer) { _, _ = a.conn.Write([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1}) },
		"no HTTP/2":                 func(a *h2answer) { _, _ = io.WriteString(a.conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
		"a window of too much":      func(a *h2answer) { _ = a.WriteWindowUpdate(0, 1<<31-1) },
		"a frame of another stream": func(a *h2answer) { _ = a.WriteWindowUpdate(a.stream+100, 1); _ = a.conn.Close() },
		"the end of the connection": func(a *h2answer) { _ = a.conn.Close() },
		"a push that nobody allowed": func(a *h2answer) {
			_ = a.WritePushPromise(http2.PushPromiseParam{StreamID: a.stream, PromiseID: 2, EndHeaders: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveFrames(t, answer)
			other := &recorder{}
			w := newWorld(t, region(t, first, s.address), region(t, second, serve(t, other)))
			const calls = 50
			for range calls {
				x, ctx := w.begin(t, w.plan(ReasonExplicit, true, first), Limits{})
				x.Callee = oneOfAcme
				_, err := w.exchange(newRequest(ctx, http.MethodPost, nil, 0))
				if !errors.Is(err, ErrBackend) && !errors.Is(err, ErrNotHTTP) || x.Attempts != 1 {
					t.Fatalf("%v after %d attempts", err, x.Attempts)
				}
			}
			if got := s.streams.Load(); got > 2*calls {
				t.Errorf("%d calls were asked %d times", calls, got)
			}
			u := w.upstream(first)
			if n := failures(u); n != 0 || w.state(first) == StateDown {
				t.Errorf("blamed %d times, %s", n, w.state(first))
			}
			if len(other.got()) != 0 {
				t.Error("it was tried elsewhere")
			}
		})
	}
}

// A function whose answers break connections of HTTP/2 takes calls of others with
// it once at most; from then on it has connections of its own, and so have those
// that were under way with it, for a while.
func TestSharedConnectionsAreKept(t *testing.T) {
	arrived, let := make(chan struct{}), make(chan struct{})
	s := serveFrames(t, func(a *h2answer) {
		switch a.path {
		case "/kill":
			_ = a.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		case "/slow":
			go func() {
				arrived <- struct{}{}
				<-let
				a.mu.Lock()
				defer a.mu.Unlock()
				a.ok()
			}()
		default:
			a.ok()
		}
	})
	w := newWorld(t, region(t, first, s.address))
	call := func(callee Callee, path string) error {
		x, ctx := Begin(context.Background(), w.nearest(first), Limits{})
		defer x.End()
		x.Callee = callee
		req := newRequest(ctx, http.MethodPost, nil, 0)
		req.URL = opaque(path)
		_, err := w.exchange(req)
		return err
	}
	if err := call(oneOfAcme, "/kill"); err == nil {
		t.Fatal("an answer")
	}
	for range 20 {
		done := make(chan error, 1)
		go func() { done <- call(oneOfGlobex, "/slow") }()
		<-arrived
		for range 3 {
			if err := call(oneOfAcme, "/kill"); !errors.Is(err, ErrNotHTTP) {
				t.Fatal(err)
			}
			if err := call(thirdOfAcme, "/"); err != nil {
				t.Fatal(err)
			}
		}
		let <- struct{}{}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	// One connection for others, one for each call of it.
	if n := s.conns.Load(); n > 1+1+20*3+1 {
		t.Errorf("%d connections", n)
	}
	if n := failures(w.upstream(first)); n != 0 {
		t.Errorf("blamed %d times", n)
	}
}

// A server that leaves in good order (GOAWAY) costs no call, and its requests go
// on over a new connection.
func TestGracefulGoAway(t *testing.T) {
	var calls atomic.Int32
	s := serveFrames(t, func(a *h2answer) {
		if calls.Add(1)%2 == 0 {
			_ = a.WriteGoAway(max(a.stream, 2)-2, http2.ErrCodeNo, nil)
			_ = a.conn.Close()
			return
		}
		a.ok()
	})
	w := newWorld(t, region(t, first, s.address))
	for range 20 {
		x, ctx := w.begin(t, w.nearest(first), Limits{})
		if _, err := w.exchange(newRequest(ctx, http.MethodPost, nil, 0)); err != nil {
			t.Fatalf("%v after %d attempts", err, x.Attempts)
		}
	}
}
