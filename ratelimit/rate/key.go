package rate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"net/netip"
	"sync"
)

// Key tells whose bucket is meant. A Limiter keeps a hash of it: clients choose names
// and addresses, so their length must not matter, and they must not be able to
// choose some that collide (contract 9.7). Which keys a call has is the caller's to
// say: in the gateway, caddymodule/gateway/ratelimits.go.
type Key struct {
	Policy  string     // of the limit: policies have buckets of their own
	Project string     // decides the shard in Redis
	Name    string     // of the function, or the subject; "" for none
	Address netip.Addr // of the client; the zero Addr for none
}

// bucketID is the hash of a Key: HMAC-SHA-256, cut to 128 bits.
type bucketID [16]byte

// keyHasher makes bucketIDs with one secret. It is safe for concurrent use: callers
// are spread over states, each with a lock of its own. It does not allocate once the
// states have their memory.
type keyHasher struct{ states [32]hashState }

// hashState has the memory for one hash at a time.
type hashState struct {
	mu   sync.Mutex // guards all
	mac  hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// keptText is up to which capacity, in bytes, the memory of a text is kept for the
// next one.
const keptText = 1 << 10

func newKeyHasher(secret []byte) *keyHasher {
	h := new(keyHasher)
	for i := range h.states {
		h.states[i].mac = hmac.New(sha256.New, secret)
	}
	return h
}

// id returns the hash of a key. Each part of the text has its length in front, so no
// two keys have the same text.
func (h *keyHasher) id(key *Key) (id bucketID) {
	s := &h.states[rand.IntN(len(h.states))] // #nosec G404 -- spreads load, guards nothing
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.text[:0]
	for _, part := range [...]string{key.Policy, key.Project, key.Name} {
		text = binary.AppendUvarint(text, uint64(len(part)))
		text = append(text, part...)
	}
	address := key.Address.As16()
	text = append(text, byte(key.Address.BitLen()))
	text = append(text, address[:]...)
	s.mac.Reset()
	s.mac.Write(text)
	copy(id[:], s.mac.Sum(s.sum[:0]))
	s.text = text
	if cap(text) > keptText {
		s.text = nil
	}
	return id
}
