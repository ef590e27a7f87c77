package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// frame makes a WebSocket frame with a header for the payload's length; width 0 takes the shortest.
func frame(opcode byte, width int, masked bool, payload []byte) []byte {
	b := []byte{0x80 | opcode, 0}
	switch {
	case width == 8 || width == 0 && len(payload) > 0xffff:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(len(payload)))
	case width == 2 || width == 0 && len(payload) > 125:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	default:
		b[1] = byte(len(payload))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, "mask"...)
	}
	return append(b, payload...)
}

// TestFrameTracker knows after each byte whether a frame is complete, however the bytes are cut.
func TestFrameTracker(t *testing.T) {
	payload := bytes.Repeat([]byte("p"), 300)
	tests := map[string][]byte{
		"empty":                  frame(1, 0, false, nil),
		"one byte":               frame(1, 0, false, payload[:1]),
		"largest short":          frame(1, 0, false, payload[:125]),
		"smallest of 16 bits":    frame(2, 0, false, payload[:126]),
		"16 bits":                frame(2, 0, false, payload),
		"64 bits":                frame(2, 8, false, payload),
		"empty of 16 bits":       frame(2, 2, false, nil),
		"empty of 64 bits":       frame(2, 8, false, nil),
		"masked":                 frame(1, 0, true, payload[:10]),
		"masked and empty":       frame(9, 0, true, nil),
		"masked, 64 bits":        frame(1, 8, true, payload[:10]),
		"payload like a frame":   frame(2, 0, false, frame(1, 0, false, payload[:20])),
		"close":                  frame(8, 0, false, []byte{3, 0xe9}),
		"continuation, not last": {0x00, 0x01, 'x'},
	}
	for name, one := range tests {
		t.Run(name, func(t *testing.T) {
			stream := bytes.Repeat(one, 3)
			for _, chunk := range []int{1, 2, 3, len(one) - 1, len(one), len(one) + 1, len(stream)} {
				var f frameTracker
				for at := 0; at < len(stream); {
					end := min(at+max(chunk, 1), len(stream))
					if n := f.advance(stream[at:end], false); n != end-at {
						t.Fatalf("chunks of %d: %d of %d bytes taken", chunk, n, end-at)
					}
					at = end
					if got, want := f.atBoundary(), at%len(one) == 0; got != want {
						t.Fatalf("chunks of %d: boundary after %d bytes: %t, want %t", chunk, at, got, want)
					}
				}
				for at := range len(one) {
					var f frameTracker
					f.advance(stream[:at], false)
					if n, want := f.advance(stream[at:], true), len(one)-at; n != want {
						t.Fatalf("stopped %d bytes after byte %d, want %d", n, at, want)
					}
				}
			}
		})
	}
	t.Run("a length beyond what there is", func(t *testing.T) {
		var f frameTracker
		f.advance([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, false)
		if !f.atBoundary() && f.left < 1<<32 {
			t.Errorf("%d bytes are left", f.left)
		}
	})
}

// FuzzFrameTracker cuts random frames at random places; the reference knows where each ends.
func FuzzFrameTracker(f *testing.F) {
	f.Add(uint64(1), uint8(3), []byte{1, 2, 3})
	f.Add(uint64(2), uint8(200), []byte{255, 0, 7})
	f.Add(uint64(3), uint8(9), []byte{})
	f.Fuzz(func(t *testing.T, seed uint64, frames uint8, chunks []byte) {
		random := rand.New(rand.NewPCG(seed, 0))
		var stream []byte
		ends := map[int]bool{0: true}
		for range frames {
			payload := make([]byte, random.IntN([]int{2, 126, 1000, 70000}[random.IntN(4)]))
			width := []int{0, 8}[random.IntN(2)]
			stream = append(stream, frame(byte(random.IntN(16)), width, random.IntN(4) == 0, payload)...)
			ends[len(stream)] = true
		}
		var tracker frameTracker
		for at, i := 0, 0; at < len(stream); i++ {
			size := 1 + random.IntN(500)
			if len(chunks) > 0 {
				size = 1 + int(chunks[i%len(chunks)])
			}
			end := min(at+size, len(stream))
			stop := random.IntN(3) == 0
			n := tracker.advance(stream[at:end], stop)
			if !stop && n != end-at {
				t.Fatalf("%d of %d bytes taken", n, end-at)
			}
			for inside := at + 1; stop && inside < at+n; inside++ {
				if ends[inside] {
					t.Fatalf("went past the frame's end at %d", inside)
				}
			}
			at += n
			if tracker.atBoundary() != ends[at] {
				t.Fatalf("boundary after %d bytes: %t", at, tracker.atBoundary())
			}
		}
	})
}

// openSocket returns a registered socket and the client's end.
func openSocket(registry *socketRegistry) (*socket, net.Conn) {
	server, client := net.Pipe()
	s := &socket{Conn: server, registry: registry}
	registry.add(s)
	return s, client
}

const stopReason = "server is stopping"

// goodbye is the Close that a client gets.
var goodbye = string(frame(8, 0, false, append([]byte{3, 0xe9}, stopReason...)))

// TestGoAway: Close 1001 comes at a frame boundary, and nothing after it (BEHAVIOUR.md 6.6).
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
					registry := newSocketRegistry()
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
					s.goAway(endReloaded, stopReason)
					s.goAway(endReloaded, "again")
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
					if n := registry.open(); n != 0 {
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
	registry := newSocketRegistry()
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
	registry.closeAll()
	if waited := time.Since(start); waited > 2*closeWait {
		t.Errorf("it took %v", waited)
	}
	if err := <-failed; err == nil {
		t.Error("the write went through")
	}
}

// TestCloseAll: everyone gets a Close, also who comes late; it returns when all are gone, every time.
func TestCloseAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := newSocketRegistry()
		registry.closeAll() // of a process without sockets
		registry = newSocketRegistry()
		var clients sync.WaitGroup
		connect := func() {
			s, client := openSocket(registry)
			clients.Go(func() {
				// A polite client: the connection ends when it has answered.
				if _, err := io.ReadFull(client, make([]byte, len(goodbye))); err != nil {
					t.Errorf("the client reads: %v", err)
				}
				time.Sleep(time.Second)
				_ = s.Close()
				_ = s.Close()
			})
		}
		for range 10 {
			connect()
		}
		if n := registry.open(); n != 10 {
			t.Errorf("%d sockets are open", n)
		}
		start := time.Now()
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(registry.closeAll)
		}
		synctest.Wait()
		for range 10 {
			clients.Go(connect)
		}
		closers.Wait()
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("it took %v", waited)
		}
		clients.Wait()
		registry.closeAll()
		if n := registry.open(); n != 0 {
			t.Errorf("%d sockets are left", n)
		}
		if err := registry.Destruct(); err != nil {
			t.Error(err)
		}
		time.Sleep(closeWait) // the timers end
	})
}

// TestLateSockets: sockets come and go while the process stops; waiting for them must not be a race.
func TestLateSockets(t *testing.T) {
	registry := newSocketRegistry()
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 50 {
				s, client := openSocket(registry)
				_, _ = client.Close(), s.Close()
			}
		})
		workers.Go(registry.closeAll)
	}
	workers.Wait()
	registry.closeAll()
	if n := registry.open(); n != 0 {
		t.Errorf("%d sockets are left", n)
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
	s := &socket{Conn: server, early: buffered, registry: newSocketRegistry()}
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
	s, client := openSocket(newSocketRegistry())
	_ = client.Close()
	if _, err := s.Write([]byte{0x81, 0}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write: %v", err)
	}
	_ = s.Close()
}
