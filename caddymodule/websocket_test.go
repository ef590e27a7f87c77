package caddymodule

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// frame makes one unmasked frame as servers send them (RFC 6455, section 5.2).
func frame(payload []byte) []byte {
	head := []byte{0x82}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	return append(head, payload...)
}

func TestFrameTrackerFindsBoundaries(t *testing.T) {
	masked := append([]byte{0x82, 0x83, 1, 2, 3, 4}, "abc"...)
	for name, first := range map[string][]byte{
		"empty": frame(nil), "short": frame([]byte("abc")), "125": frame(make([]byte, 125)),
		"126": frame(make([]byte, 126)), "65535": frame(make([]byte, 65535)), "65536": frame(make([]byte, 65536)),
		"masked": masked,
	} {
		t.Run(name, func(t *testing.T) {
			stream := append(bytes.Clone(first), frame([]byte("next"))...)
			var f frameTracker
			if n := f.advance(stream, true); n != len(first) {
				t.Errorf("stopped after %d bytes, the frame has %d", n, len(first))
			}
			if !f.atBoundary() {
				t.Error("it does not know that it is at a boundary")
			}
		})
	}
}

// FuzzFrameTracker sends frames in pieces of any size: wherever a stop is asked for, it must come at the end of a frame
// and nowhere else.
func FuzzFrameTracker(f *testing.F) {
	f.Add([]byte{0, 1, 125, 126, 200}, uint8(3), uint8(2))
	f.Add([]byte{255, 255, 0}, uint8(1), uint8(0))
	f.Fuzz(func(t *testing.T, sizes []byte, piece, stopAfter uint8) {
		var stream []byte
		ends := map[int]bool{0: true}
		for _, size := range sizes {
			stream = append(stream, frame(make([]byte, int(size)*3))...)
			ends[len(stream)] = true
		}
		var tracker frameTracker
		for at, pieces := 0, 0; at < len(stream); pieces++ {
			end := min(at+int(piece)+1, len(stream))
			stop := pieces >= int(stopAfter)
			n := tracker.advance(stream[at:end], stop)
			if !stop && n != end-at {
				t.Fatalf("took %d of %d bytes without being asked to stop", n, end-at)
			}
			at += n
			if tracker.atBoundary() != ends[at] {
				t.Fatalf("after %d bytes: at a boundary %v, want %v", at, tracker.atBoundary(), ends[at])
			}
			if stop && n < end-at+n && !ends[at] {
				t.Fatalf("stopped inside a frame, after %d bytes", at)
			}
		}
	})
}

// pair returns a socket and its client's end.
func pair(t *testing.T, registry *socketRegistry) (*socket, net.Conn) {
	t.Helper()
	server, client := net.Pipe()
	s := &socket{Conn: server, registry: registry}
	registry.add(s)
	t.Cleanup(func() { s.Close(); client.Close() })
	return s, client
}

func closeFrame(reason string) []byte {
	return append([]byte{opcodeClose, byte(2 + len(reason)), closeGoingAway >> 8, closeGoingAway & 0xff}, reason...)
}

// BEHAVIOUR 6.6: the Close comes between two frames, and nothing after it.
func TestGoAwayWaitsForTheEndOfTheFrame(t *testing.T) {
	s, client := pair(t, newSocketRegistry())
	first := frame([]byte("a frame in two parts"))
	got := make(chan []byte)
	go func() {
		all, err := io.ReadAll(client)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		got <- all
	}()
	if _, err := s.Write(first[:7]); err != nil {
		t.Fatal(err)
	}
	s.goAway("server is stopping")
	n, err := s.Write(append(bytes.Clone(first[7:]), frame([]byte("too late"))...))
	if n != len(first)-7 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if _, err := s.Write(frame([]byte("later still"))); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a frame after the Close: %v", err)
	}
	s.Close()
	if want := append(bytes.Clone(first), closeFrame("server is stopping")...); !bytes.Equal(<-got, want) {
		t.Error("the client did not get exactly the frame and the Close")
	}
}

func TestGoAwayAtABoundaryIsImmediate(t *testing.T) {
	s, client := pair(t, newSocketRegistry())
	go s.goAway("idle timeout")
	got := make([]byte, len(closeFrame("idle timeout")))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, closeFrame("idle timeout")) {
		t.Errorf("got % x, %v", got, err)
	}
}

func TestCloseAllEndsEverySocketOnce(t *testing.T) {
	registry := newSocketRegistry()
	clients := make(chan string)
	for range 5 {
		s, client := pair(t, registry)
		go func() {
			text, err := io.ReadAll(io.LimitReader(client, int64(len(closeFrame("server is stopping")))))
			if err != nil {
				t.Error(err)
			}
			clients <- string(text)
			s.Close() // as the proxy does when the client hangs up
		}()
	}
	if registry.open() != 5 {
		t.Errorf("%d sockets are open", registry.open())
	}
	done := make(chan struct{})
	go func() { registry.closeAll(); registry.closeAll(); close(done) }()
	for range 5 {
		if text := <-clients; text != string(closeFrame("server is stopping")) {
			t.Errorf("a client got %q", text)
		}
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("closeAll did not return when the sockets were gone")
	}
	if registry.open() != 0 {
		t.Errorf("%d sockets are left", registry.open())
	}
}

func TestSocketThatComesWhileStoppingIsToldAtOnce(t *testing.T) {
	registry := newSocketRegistry()
	registry.closeAll()
	_, client := pair(t, registry)
	got := make([]byte, 4)
	if _, err := io.ReadFull(client, got); err != nil || got[0] != opcodeClose {
		t.Errorf("got % x, %v", got, err)
	}
}

func TestSocketReadsWhatTheServerBuffered(t *testing.T) {
	s, client := pair(t, newSocketRegistry())
	s.early = bufio.NewReader(strings.NewReader("early"))
	if _, err := s.early.Peek(5); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = client.Write([]byte(" late")) }()
	got := make([]byte, 10)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "early late" {
		t.Errorf("got %q, %v", got, err)
	}
}
