package handover

import "sync/atomic"

const (
	// maxRecorded bounds the bytes of a request that are kept until the server is known
	// to have read it. A longer head stays with its server.
	maxRecorded = 16 << 10
	// smallHead is the part of it, in bytes, that any connection may keep.
	smallHead = 4 << 10
	// mostLargeHeads bounds the number of connections that keep more at a time: with 16 KiB
	// each that is 16 MiB for all (contract 9.6). Heads beyond stay with their
	// server, like long ones: only a reload in their midst can tell.
	mostLargeHeads = 1 << 10
)

// largeHeads is the number of connections that keep more than smallHead.
var largeHeads atomic.Int64

// keepHead adds to what is recorded of a request, unless that gets too long or too
// many others are long; then it reports false. c.mu is held.
func (c *sharedConn) keepHead(read []byte) bool {
	need := len(c.recorded) + len(read)
	if need > maxRecorded {
		return false
	}
	if need > smallHead && !c.large {
		if largeHeads.Add(1) > mostLargeHeads {
			largeHeads.Add(-1)
			return false
		}
		c.large = true
		c.recorded = append(make([]byte, 0, maxRecorded), c.recorded...)
	}
	c.recorded = append(c.recorded, read...)
	return true
}

// forgetHead drops what is recorded. c.mu is held.
func (c *sharedConn) forgetHead() {
	c.recorded = c.recorded[:0]
	if c.large {
		largeHeads.Add(-1)
		c.large, c.recorded = false, nil
	}
}
