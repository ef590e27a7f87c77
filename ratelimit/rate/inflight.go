package rate

import (
	"hash/maphash"
	"sync"
)

// InFlight bounds how many calls of one project, function or client run at once
// (contract 9.6). It counts calls by key, and keeps no key without calls in memory.
// It is safe for concurrent use and does not allocate in the steady state. Make one
// with NewInFlight.
type InFlight struct {
	seed   maphash.Seed
	shards [inFlightShards]inFlightShard
}

// inFlightShards is the number of locks that keys are spread over.
const inFlightShards = 64

type inFlightShard struct {
	mu     sync.Mutex // guards counts
	counts map[InFlightID]int64
	_      [40]byte // the next shard is in another cache line
}

// InFlightID is the hash of the key of a call (contract 9.7), with a seed that only
// this process knows.
type InFlightID uint64

// NewInFlight returns an InFlight without calls.
func NewInFlight() *InFlight {
	f := &InFlight{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].counts = make(map[InFlightID]int64)
	}
	return f
}

// Enter counts a call of a key, and returns the id for Leave. It reports false, and
// counts nothing, if limit calls of the key run already.
func (f *InFlight) Enter(key *Key, limit int64) (InFlightID, bool) {
	id := f.id(key)
	s := f.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[id] >= limit {
		return 0, false
	}
	s.counts[id]++
	return id, true
}

// Leave ends a call. It must be called once for each Enter that reported true.
func (f *InFlight) Leave(id InFlightID) {
	s := f.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[id]--
	if s.counts[id] == 0 {
		delete(s.counts, id)
	}
}

// Len returns how many keys have calls in flight.
func (f *InFlight) Len() (n int) {
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		n += len(s.counts)
		s.mu.Unlock()
	}
	return n
}

func (f *InFlight) shard(id InFlightID) *inFlightShard { return &f.shards[id%inFlightShards] }

// id returns the hash of a key. Each part ends with a zero byte, which no part
// contains, so no two keys have the same text.
func (f *InFlight) id(key *Key) InFlightID {
	var h maphash.Hash
	h.SetSeed(f.seed)
	for _, part := range [...]string{key.Policy, key.Project, key.Name} {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	address := key.Address.As16()
	_, _ = h.Write(address[:])
	_ = h.WriteByte(byte(key.Address.BitLen()))
	return InFlightID(h.Sum64())
}
