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

// Key says whose bucket it is. What is kept of it is a hash: clients choose
// names and addresses, and so neither how long they are nor how they collide may
// matter (contract 9.7).
type Key struct {
	Policy  string // limits of different policies have nothing in common
	Project string
	Name    string     // of the function, or the subject; "" for none
	Address netip.Addr // of the client; the zero Addr for none
}

// bucketID stands for a Key: an HMAC-SHA-256 of it, cut to 128 bits.
type bucketID [16]byte

// keyHasher makes rateIDs with one secret. It is safe for concurrent use and does
// not allocate: many can hash at a time, each with one of the states.
type keyHasher struct{ states [32]hashState }

// hashState is what one hash is made with.
type hashState struct {
	mu   sync.Mutex // guards all
	mac  hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// keptText is the longest text whose memory is kept for the next one, in bytes.
const keptText = 1 << 10

func newKeyHasher(secret []byte) *keyHasher {
	h := new(keyHasher)
	for i := range h.states {
		h.states[i].mac = hmac.New(sha256.New, secret)
	}
	return h
}

// id returns the hash of a key. Each part comes with its length, so no two keys
// are hashed from the same text.
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
	if s.text = text; cap(text) > keptText {
		s.text = nil
	}
	return id
}
