package discovery

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Memory has the addresses that the look-ups of a source found last, for each name that
// it looks up. They are used while a name, or one family of its addresses, cannot be
// looked up. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex // guards answers
	answers map[Target]answer
}

// answer has the last addresses of a name.
type answer struct {
	v4, v6 []netip.Addr
	at     time.Time // of the last look-up; zero if it or a part of it failed
}

func (a answer) all() []netip.Addr { return slices.Concat(a.v4, a.v6) }

func newMemory() *Memory { return &Memory{answers: make(map[Target]answer)} }

// Adopt replaces what is remembered by what another Memory has, such as that of the same
// source in an earlier configuration.
func (m *Memory) Adopt(earlier *Memory) {
	earlier.mu.Lock()
	answers := maps.Clone(earlier.answers)
	earlier.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = answers
}

func (m *Memory) get(t Target) answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answers[t]
}

func (m *Memory) set(t Target, a answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[t] = a
}

// keep forgets all names but the targets.
func (m *Memory) keep(targets map[Target]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.answers, func(t Target, _ answer) bool { return !targets[t] })
}
