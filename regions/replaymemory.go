package regions

import (
	"cmp"
	"sync"
	"sync/atomic"
)

// DefaultReplayMemory is how much all bodies that are kept may take together, in
// bytes.
const DefaultReplayMemory = 64 << 20

// ReplayMemory bounds what the bodies of all calls take together that are kept to
// be sent again (contract 9.6). A body that finds no room is not kept: its
// call goes on, and is not sent a second time. The zero value has no room; nil
// has no bound. It is safe for concurrent use.
type ReplayMemory struct {
	most, used atomic.Int64
	refused    atomic.Uint64
}

// ReplayStats are sizes of now in bytes, and a count since the start.
type ReplayStats struct {
	Bytes   int64  // that bodies take
	Most    int64  // that they may take
	Refused uint64 // bodies that were not kept for want of room
}

// NewReplayMemory returns a ReplayMemory of DefaultReplayMemory.
func NewReplayMemory() *ReplayMemory {
	m := new(ReplayMemory)
	m.Resize(0)
	return m
}

// Resize sets how much the bodies may take, in bytes; 0 means
// DefaultReplayMemory. What is kept stays.
func (m *ReplayMemory) Resize(bytes int64) { m.most.Store(cmp.Or(bytes, DefaultReplayMemory)) }

// Stats returns how things are.
func (m *ReplayMemory) Stats() ReplayStats {
	return ReplayStats{Bytes: m.used.Load(), Most: m.most.Load(), Refused: m.refused.Load()}
}

// take reports whether there are n bytes more, and takes them.
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

// keptBody is what was read of a body, for as long as it may have to be sent
// again.
type keptBody struct {
	memory *ReplayMemory
	limit  int64 // how long a body may be
	length int64 // declared by the client, -1 when unknown

	mu      sync.Mutex // guards the fields below, and the places of cursors
	whole   bool       // all that was read is in bytes
	settled bool       // no other attempt follows
	bytes   []byte
	latest  *bodyCursor
}

// add keeps p, which c read last, if there is room for it.
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

// forget gives everything back. k.mu is held.
func (k *keptBody) forget() {
	k.memory.give(cap(k.bytes))
	k.whole, k.bytes = false, nil
}

// read copies what is kept from the place of c on, and moves c. It copies nothing
// where c is at the end of what was taken from the client; behind that, with
// nothing kept, the exchange is over, and no end may be invented.
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

// forgetSent gives back what nobody will ask for any more. k.mu is held.
func (k *keptBody) forgetSent() {
	if k.settled && (k.latest == nil || k.latest.at >= len(k.bytes)) {
		k.forget()
	}
}

// settle says that no other attempt follows: what is kept goes as soon as the last
// one has sent it. It does not wait for the client.
func (k *keptBody) settle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = true
	k.forgetSent()
}

// release gives everything back at the end of the exchange.
func (k *keptBody) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = true
	k.forget()
}

// isWhole reports whether all that was read can be read again.
func (k *keptBody) isWhole() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.whole
}
