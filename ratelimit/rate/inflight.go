package rate

import (
	"hash/maphash"
	"sync"
)

// InFlight bounds how many calls of one project, function or client run at once
// (contract 9.6). It keeps what runs and nothing else: who has no call in
// flight costs no memory. It is safe for concurrent use and does not allocate
// in the steady state. Make one with NewInFlight.
type InFlight struct {
	seed   maphash.Seed
	shards [inFlightShards]inFlightShard
}

// inFlightShards is how many locks calls are spread over.
const inFlightShards = 64

type inFlightShard struct {
	mu     sync.Mutex // guards counts
	counts map[InFlightID]int64
	_      [40]byte // the next one is in another cache line
}

// InFlightID stands for whose call it is: a hash, since clients choose names
// (contract 9.7), with a seed of the process, which nobody else knows.
type InFlightID uint64

// NewInFlight returns an InFlight that nothing runs in.
func NewInFlight() *InFlight {
	f := &InFlight{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].counts = make(map[InFlightID]int64)
	}
	return f
}

// Enter counts a call in, unless most run already; then it reports false. What
// it returns is for Leave.
func (f *InFlight) Enter(key *Key, most int64) (InFlightID, bool) {
	id := f.id(key)
	s := f.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[id] >= most {
		return 0, false
	}
	s.counts[id]++
	return id, true
}

// Leave counts a call out. It must be called once for each Enter that let one
// in.
func (f *InFlight) Leave(id InFlightID) {
	s := f.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[id]--; s.counts[id] == 0 {
		delete(s.counts, id)
	}
}

// Len returns how many projects, functions and clients have calls in flight.
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

// id hashes a key, each part with its end, so that no two keys are one text.
func (f *InFlight) id(key *Key) InFlightID {
	var h maphash.Hash
	h.SetSeed(f.seed)
	for _, part := range [...]string{key.Policy, key.Project, key.Name} {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0) // in none of them
	}
	address := key.Address.As16()
	_, _ = h.Write(address[:])
	_ = h.WriteByte(byte(key.Address.BitLen()))
	return InFlightID(h.Sum64())
}
