package sockets

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
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
