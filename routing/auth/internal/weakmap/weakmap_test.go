package weakmap

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

type value struct{ key string }

// until collects garbage until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		runtime.GC()
	}
}

func (m *Map[K, V]) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

func TestMap(t *testing.T) {
	var m Map[string, value]
	made := 0
	get := func(key string) *value {
		return m.Get(key, func() *value { made++; return &value{key} })
	}
	if len(m.Values()) != 0 {
		t.Error("the zero Map is not empty")
	}
	a := get("a")
	if get("a") != a || made != 1 {
		t.Error("a value in use is made twice")
	}
	if b := get("b"); b == a || b.key != "b" {
		t.Errorf("b is %v", b)
	}
	until(t, "b lives on unused", func() bool { return m.size() == 1 })
	if values := m.Values(); len(values) != 1 || values[0] != a {
		t.Errorf("in use are %v", values)
	}
	if get("b"); made != 3 {
		t.Errorf("%d were made, want 3", made)
	}
	runtime.KeepAlive(a) // its last use
	until(t, "values live on unused", func() bool { return m.size() == 0 })
}

// A value that takes the place of a collected one is not forgotten with it.
func TestMapReplaced(t *testing.T) {
	var m Map[int, value]
	for range 1000 {
		m.Get(1, func() *value { return &value{} })
		if kept := m.Get(1, func() *value { return &value{} }); m.Get(1, nil) != kept {
			t.Fatal("a value in use is made twice")
		}
		runtime.Gosched()
	}
	kept := m.Get(1, func() *value { return &value{} })
	m.forget(1) // as the late cleanup of a predecessor
	if m.Get(1, nil) != kept {
		t.Error("a value in use was forgotten")
	}
}

func TestMapConcurrently(t *testing.T) {
	var m Map[int, value]
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 2000 {
				one := m.Get(i%10, func() *value { return &value{} })
				if two := m.Get(i%10, func() *value { return &value{} }); one != two {
					t.Error("a value in use is made twice")
				}
			}
			m.Values()
			runtime.GC()
		})
	}
	group.Wait()
}
