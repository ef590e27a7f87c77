package auth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// keyring is the public keys at a moment; it is immutable.
type keyring struct {
	// sets has the configuration's own first, then one for each Remote; any may
	// be nil.
	sets []*jwks.Set
	// scope stands for everything that decides over a token: what one keyring
	// found holds for all of the same scope, in other projects and after a reload,
	// and for none with other keys.
	scope unique.Handle[[sha256.Size]byte]
}

// keyring returns the public keys of now and has what is due fetched in the
// background. overdue is true if a set is missing or too old to judge by.
func (v *Verifier) keyring() (ring *keyring, overdue bool) {
	ring = v.current.Load()
	changed := false
	for i, remote := range v.remotes {
		set, late := remote.Poll()
		changed = changed || set != ring.sets[i+1]
		overdue = overdue || late
	}
	if changed {
		ring = v.renew()
	}
	return ring, overdue
}

// renew makes the keyring of the sets of now.
func (v *Verifier) renew() *keyring {
	ring := &keyring{sets: make([]*jwks.Set, 1, 1+len(v.remotes))}
	ring.sets[0] = v.inline
	h := sha256.New()
	h.Write(v.settings[:])
	for _, remote := range v.remotes {
		set := remote.Set()
		ring.sets = append(ring.sets, set)
		sum := set.Fingerprint()
		h.Write(sum[:])
	}
	ring.scope = unique.Make([sha256.Size]byte(h.Sum(nil)))
	v.current.Store(ring)
	return ring
}

// fingerprint covers all that decides over a token but the Remotes' sets. Each
// part comes with its length, so no two configurations write the same.
func (v *Verifier) fingerprint() [sha256.Size]byte {
	var text []byte
	list := func(n int, part func(i int) string) {
		text = binary.BigEndian.AppendUint64(text, uint64(n))
		for i := range n {
			s := part(i)
			text = binary.BigEndian.AppendUint64(text, uint64(len(s)))
			text = append(text, s...)
		}
	}
	list(len(v.secrets), func(i int) string { return string(v.secrets[i].key) })
	for _, values := range [][]string{v.rules.issuers, v.rules.audiences, v.rules.roles} {
		list(len(values), func(i int) string { return values[i] })
	}
	// An API key that may have the form of a token decides that it is none.
	shaped := slices.DeleteFunc(slices.Clone(v.apiKeys), func(k *knownKey) bool { return k.opaque })
	slices.SortFunc(shaped, func(a, b *knownKey) int { return strings.Compare(a.hash, b.hash) })
	list(len(shaped), func(i int) string { return shaped[i].hash + shaped[i].expires.UTC().Format(time.RFC3339Nano) })
	text = binary.BigEndian.AppendUint64(text, uint64(v.rules.leeway))
	if v.eddsa {
		text = append(text, 1)
	}
	inline := v.inline.Fingerprint()
	text = append(text, inline[:]...)
	sum := sha256.Sum256(text)
	clear(text)
	return sum
}

// keyWait bounds how long a token waits for a set to be fetched.
const keyWait = 5 * time.Second

// await waits for the sets that are overdue. All are being fetched already, so
// that the waits run side by side. The error is ErrBusy.
func (v *Verifier) await() (*keyring, error) {
	if !v.shared.enter(v.slots) {
		v.shared.busy.Add(1)
		return nil, ErrBusy
	}
	defer v.shared.leave(v.slots)
	ctx, cancel := context.WithTimeout(context.Background(), keyWait)
	defer cancel()
	for _, remote := range v.remotes {
		remote.Current(ctx)
	}
	ring, _ := v.keyring()
	return ring, nil
}

// seek asks the Remotes for the key of a token that ring has not, and returns a
// keyring that perhaps has it. since is what begun returned when the token came.
// The error is ErrBusy.
func (v *Verifier) seek(ring *keyring, since []uint64, head header) (*keyring, error) {
	if !v.shared.enter(v.slots) {
		v.shared.busy.Add(1)
		return nil, ErrBusy
	}
	defer v.shared.leave(v.slots)
	for i, remote := range v.remotes {
		ctx, cancel := context.WithTimeout(context.Background(), keyWait)
		set := remote.Seek(ctx, ring.sets[i+1], since[i])
		cancel()
		if set != ring.sets[i+1] && len(set.Candidates(head.alg, head.kid)) > 0 {
			break
		}
	}
	ring, _ = v.keyring()
	return ring, nil
}

// begun returns how many fetches each Remote began.
func (v *Verifier) begun() []uint64 {
	counts := make([]uint64, len(v.remotes))
	for i, remote := range v.remotes {
		counts[i] = remote.Begun()
	}
	return counts
}
