package demo

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// far returns a delayed connection and its peer.
func far(delay time.Duration) (*latencyConn, net.Conn, chan struct{}) {
	here, there := net.Pipe()
	gone := make(chan struct{})
	return newLatencyConn(here, delay, func(*latencyConn) { close(gone) }), there, gone
}

func TestLatencyDelaysInOrderWithoutBlockingTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 93 * time.Millisecond
		c, peer, gone := far(delay)
		start := time.Now()
		for _, s := range []string{"a", "b", "c"} {
			if _, err := c.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(start); took != 30*time.Millisecond {
			t.Errorf("writer was held up for %v", took)
		}
		buf := make([]byte, 1)
		for i, want := range []string{"a", "b", "c"} {
			if _, err := io.ReadFull(peer, buf); err != nil || string(buf) != want {
				t.Fatalf("read %q, %v, want %q", buf, err, want)
			}
			if at, want := time.Since(start), delay+time.Duration(i)*10*time.Millisecond; at != want {
				t.Errorf("byte %d arrived after %v, want %v", i, at, want)
			}
		}
		_ = c.Close()
		<-gone
	})
}

func TestLatencyCopiesWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, gone := far(time.Second)
		p := []byte("before")
		_, _ = c.Write(p)
		copy(p, "after!")
		got := make([]byte, 6)
		_, _ = io.ReadFull(peer, got)
		if string(got) != "before" {
			t.Errorf("got %q: the writer's buffer was kept", got)
		}
		_ = c.Close()
		<-gone
	})
}

func TestLatencyCloseHandsOverWhatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, gone := far(164 * time.Millisecond)
		_, _ = c.Write(bytes.Repeat([]byte("x"), 1<<20))
		_ = c.Close()
		if _, err := c.Write([]byte("y")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("read after close succeeded")
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		got, err := io.ReadAll(peer)
		if err != nil || len(got) != 1<<20 {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		<-gone
	})
}

func TestLatencyCloseGivesUpOnAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 3 * time.Millisecond
		c, _, gone := far(delay)
		_, _ = c.Write([]byte("never read"))
		start := time.Now()
		_ = c.Close()
		<-gone
		if took := time.Since(start); took != delay+lingerLimit {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestLatencyBoundsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, gone := far(time.Second)
		_, _ = c.Write(make([]byte, maxInFlight))
		written := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("more"))
			written <- err
		}()
		synctest.Wait()
		select {
		case <-written:
			t.Fatal("a write beyond the bound did not wait")
		default:
		}
		_, _ = io.ReadFull(peer, make([]byte, maxInFlight))
		if err := <-written; err != nil {
			t.Error(err)
		}
		_ = peer.Close()
		<-gone // a peer that has gone ends the connection
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("write to a peer that has gone succeeded")
		}
		_ = c.Close()
	})
}

func TestLatencyCloseFreesABlockedWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, gone := far(time.Second)
		_, _ = c.Write(make([]byte, maxInFlight))
		written := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("more"))
			written <- err
		}()
		synctest.Wait()
		_ = c.Close()
		if err := <-written; !errors.Is(err, net.ErrClosed) {
			t.Errorf("blocked writer got %v", err)
		}
		<-gone
	})
}

// halfCloser records the order of writes and the half-close.
type halfCloser struct {
	net.Conn
	events chan string
}

func (h halfCloser) Write(p []byte) (int, error)      { h.events <- string(p); return len(p), nil }
func (h halfCloser) CloseWrite() error                { h.events <- "half-closed"; return nil }
func (h halfCloser) Close() error                     { h.events <- "closed"; return nil }
func (h halfCloser) SetReadDeadline(time.Time) error  { return nil }
func (h halfCloser) SetWriteDeadline(time.Time) error { return nil }

func TestLatencyHalfCloseComesAfterWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := halfCloser{events: make(chan string, 3)}
		c := newLatencyConn(h, time.Second, func(*latencyConn) {})
		_, _ = c.Write([]byte("last words"))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		for _, want := range []string{"last words", "half-closed", "closed"} {
			if got := <-h.events; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func BenchmarkLatencyConnWrite(b *testing.B) {
	b.ReportAllocs()
	c := newLatencyConn(discard{}, 0, func(*latencyConn) {})
	p := make([]byte, 1024)
	for b.Loop() {
		_, _ = c.Write(p)
	}
	_ = c.Close()
}

type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error)      { return len(p), nil }
func (discard) Close() error                     { return nil }
func (discard) SetReadDeadline(time.Time) error  { return nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }
