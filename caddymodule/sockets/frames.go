package sockets

import "encoding/binary"

const opcodeClose = 0x88 // FIN and opcode 8

// frameTracker follows the frames of a WebSocket stream (RFC 6455, section
// 5.2) as far as their lengths.
type frameTracker struct {
	head [10]byte
	have int    // bytes of head seen
	left uint64 // payload bytes still to come
	// closes is set by the head of a Close.
	closes bool
}

func (f *frameTracker) atBoundary() bool { return f.have == 0 && f.left == 0 }

// advance takes p into account and returns how much of it: all, or up to the
// next frame boundary if stop is set.
func (f *frameTracker) advance(p []byte, stop bool) int {
	for i := 0; i < len(p); {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)-i))
			f.left -= n
			i += int(n)
		} else {
			f.head[f.have] = p[i]
			f.have++
			i++
			f.parse()
		}
		if stop && f.atBoundary() {
			return i
		}
	}
	return len(p)
}

// parse reads the header once it is complete.
func (f *frameTracker) parse() {
	if f.have < 2 {
		return
	}
	var length uint64
	switch short := f.head[1] & 0x7f; {
	case short < 126:
		length = uint64(short)
	case short == 126 && f.have >= 4:
		length = uint64(binary.BigEndian.Uint16(f.head[2:4]))
	case short == 127 && f.have >= 10:
		length = binary.BigEndian.Uint64(f.head[2:10])
	default:
		return
	}
	if f.head[1]&0x80 != 0 {
		length += 4 // a server must not mask, but if it does, the key comes first
	}
	f.closes = f.closes || f.head[0] == opcodeClose
	f.have, f.left = 0, length
}
