// Package weakmap holds values that live exactly as long as somebody outside
// uses them.
//
// It decides that two askers for the same key get the same value while it is in
// use. It does not decide what a value is, and keeps none alive itself: what
// configurations share over a reload vanishes with its last user, and nothing
// has to be closed.
package weakmap

import (
	"runtime"
	"sync"
	"weak"
)

// Map finds values of type V by key without keeping them alive. The zero Map is
// empty and ready; it is safe for concurrent use and must not be copied.
//
// V must be a type whose values are allocated on their own (16 bytes or more, or
// with pointers), or a value may outlive its users by much.
type Map[K comparable, V any] struct {
	mu      sync.Mutex // guards entries
	entries map[K]weak.Pointer[V]
}

// Get returns the value of key, made by create if nobody uses one. create runs
// under the lock: it must be quick and must not use the Map. The value must not
// be reachable from key.
func (m *Map[K, V]) Get(key K, create func() *V) *V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value := m.entries[key].Value(); value != nil {
		return value
	}
	if m.entries == nil {
		m.entries = make(map[K]weak.Pointer[V])
	}
	value := create()
	m.entries[key] = weak.Make(value)
	runtime.AddCleanup(value, m.forget, key)
	return value
}

// forget removes a collected value, unless a new one took its key meanwhile.
func (m *Map[K, V]) forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if pointer, ok := m.entries[key]; ok && pointer.Value() == nil {
		delete(m.entries, key)
	}
}

// Values returns what is in use now, in no order.
func (m *Map[K, V]) Values() []*V {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make([]*V, 0, len(m.entries))
	for _, pointer := range m.entries {
		if value := pointer.Value(); value != nil {
			values = append(values, value)
		}
	}
	return values
}
