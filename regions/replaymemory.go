package regions

import (
	"cmp"
	"sync"
	"sync/atomic"
)

// DefaultReplayMemory bounds the memory of all kept bodies together, in bytes.
const DefaultReplayMemory = 64 << 20

// ReplayMemory bounds the memory of all request bodies that are kept to be sent
// again (contract 9.6). A body that finds no room is not kept: its call goes on,
// but is not sent a second time. The zero value has no room; nil has no bound. It
// is safe for concurrent use.
type ReplayMemory struct {
	most, used atomic.Int64
	refused    atomic.Uint64
}

// ReplayStats are the current sizes, and a count since the start.
type ReplayStats struct {
	Bytes   int64  // taken by kept bodies
	Most    int64  // the most they may take
	Refused uint64 // bodies that were not kept for want of room
}

// NewReplayMemory returns a ReplayMemory of DefaultReplayMemory.
func NewReplayMemory() *ReplayMemory {
	m := new(ReplayMemory)
	m.Resize(0)
	return m
}

// Resize sets the bound in bytes; 0 means DefaultReplayMemory. Bodies that are
// kept already stay.
func (m *ReplayMemory) Resize(bytes int64) { m.most.Store(cmp.Or(bytes, DefaultReplayMemory)) }

// Stats returns the current sizes and the count of refusals.
func (m *ReplayMemory) Stats() ReplayStats {
	return ReplayStats{Bytes: m.used.Load(), Most: m.most.Load(), Refused: m.refused.Load()}
}

// take reserves n bytes and reports whether there were that many.
func (m *ReplayMemory) take(n int) bool {
	if m == nil || m.used.Add(int64(n)) <= m.most.Load() {
		return true
	}
	m.used.Add(int64(-n))
	m.refused.Add(1)
	return false
}

func (m *ReplayMemory) give(n int) {
	if m != nil {
		m.used.Add(int64(-n))
	}
}

// keptBody keeps the bytes read of a body for as long as it may have to be sent
// again.
type keptBody struct {
	memory *ReplayMemory
	limit  int64 // the longest body to keep, in bytes
	length int64 // declared by the client, -1 when unknown

	mu      sync.Mutex // guards the fields below and bodyCursor.at
	whole   bool       // everything read so far is in bytes
	settled bool       // no other attempt follows
	bytes   []byte
	latest  *bodyCursor
}

// add appends p, which c has just read, if there is room for it.
func (k *keptBody) add(c *bodyCursor, p []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.at += len(p)
	if !k.whole {
		return
	}
	need := len(k.bytes) + len(p)
	if k.settled || int64(need) > k.limit {
		k.forget()
		return
	}
	if need > cap(k.bytes) {
		size := max(need, min(2*cap(k.bytes), int(k.limit)))
		if k.length >= 0 {
			size = max(need, min(size, int(k.length)))
		}
		if !k.memory.take(size - cap(k.bytes)) {
			k.forget()
			return
		}
		k.bytes = append(make([]byte, 0, size), k.bytes...)
	}
	k.bytes = append(k.bytes, p...)
}

// forget releases all bytes. The caller holds k.mu.
func (k *keptBody) forget() {
	k.memory.give(cap(k.bytes))
	k.whole, k.bytes = false, nil
}

// read copies kept bytes from the position of c, and moves c. At the end of the
// bytes taken from the client it copies nothing. It fails if c is before that end
// and the bytes are no longer kept: the exchange is over, and io.EOF would be wrong.
func (k *keptBody) read(c *bodyCursor, p []byte, taken int64) (n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case c.at < len(k.bytes):
		n = copy(p, k.bytes[c.at:])
		c.at += n
	case int64(c.at) < taken:
		err = errNotKept
	}
	k.forgetSent()
	return n, err
}

// forgetSent releases the bytes once no attempt will read them. The caller holds
// k.mu.
func (k *keptBody) forgetSent() {
	if k.settled && (k.latest == nil || k.latest.at >= len(k.bytes)) {
		k.forget()
	}
}

// settle declares the current attempt the last: the bytes are released as soon as
// it has sent them, without waiting for the client.
func (k *keptBody) settle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = true
	k.forgetSent()
}

// release releases all bytes at the end of the exchange.
func (k *keptBody) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = true
	k.forget()
}

// isWhole reports whether everything read so far can be read again.
func (k *keptBody) isWhole() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.whole
}
