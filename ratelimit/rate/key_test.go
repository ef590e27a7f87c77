package rate

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Contract 9.7: keys have one size, differ where what they stand for differs, and cannot be told without the secret.
func TestRateIDs(t *testing.T) {
	h, other := newKeyHasher([]byte("one")), newKeyHasher([]byte("two"))
	v4 := netip.MustParseAddr("192.0.2.1")
	keys := []Key{
		{},
		{Policy: "a"},
		{Project: "a"},
		{Name: "a"},
		{Policy: "ab"},
		{Policy: "a", Project: "b"},
		{Policy: "a", Name: "b"},
		{Project: "a", Name: "b"},
		{Project: "ab"},
		{Name: "ab"},
		{Policy: "a\x01b"},
		{Policy: "a", Project: "\x01b"},
		{Name: strings.Repeat("x", 8<<10)},
		{Name: strings.Repeat("x", 8<<10) + "y"},
		{Name: strings.Repeat("x", 127)},
		{Name: strings.Repeat("x", 128)},
		{Address: v4},
		{Address: netip.AddrFrom16(v4.As16())},
		{Address: netip.IPv6Unspecified()},
		{Address: netip.IPv4Unspecified()},
		{Policy: "a", Address: v4},
		{Name: v4.String()},
	}
	seen := make(map[bucketID]int)
	for i := range keys {
		id := h.id(&keys[i])
		if before, ok := seen[id]; ok {
			t.Errorf("%d and %d are one key", before, i)
		}
		seen[id] = i
		if h.id(&keys[i]) != id {
			t.Errorf("%d: another hash each time", i)
		}
		if other.id(&keys[i]) == id {
			t.Errorf("%d: the secret does not matter", i)
		}
	}
}

// The request path does not allocate, whatever is limited.
func TestRateDoesNotAllocate(t *testing.T) {
	l := limiter(t)
	rates := []*Limit{prepared(t, Limit{Name: "client_ip", Count: 1e9, Window: time.Second}), prepared(t, Limit{Name: "subject", Count: 1e9, Window: time.Second})}
	keys := []Key{{Policy: "client_ip", Address: netip.MustParseAddr("2001:db8::")}, {Policy: "subject", Name: "8a2c6a7e-2f0b-4a53-9f5e-0d6b4d0c9c11"}}
	states := make([]State, 2)
	for range 1000 {
		l.Take(rates, keys, states) // each of the hash's states gets its memory
	}
	if n := testing.AllocsPerRun(1000, func() { l.Take(rates, keys, states) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// heapOf returns how many bytes the heap has more after fill.
func heapOf(fill func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	fill()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// Contract 9.7: 30,000 subjects of 8 KB take what 30,000 buckets take, and each limiter takes no more than it says.
func TestRateMemoryInBytes(t *testing.T) {
	const subjects = 30_000
	long := strings.Repeat("x", 8<<10)
	rate := prepared(t, Limit{Name: "subject", Count: 1, Window: time.Hour})
	local := limiter(t)
	grown := heapOf(func() {
		for i := range subjects {
			local.takeAt(0, []*Limit{rate}, []Key{{Policy: "subject", Name: long + fmt.Sprint(i)}}, make([]State, 1))
		}
	})
	said := local.Stats()
	t.Logf("%d buckets: %d bytes each", said.Buckets, grown/subjects)
	if said.Buckets != subjects || said.Bytes != subjects*bucketBytes || grown > said.Bytes {
		t.Errorf("%d bytes, said are %+v", grown, said)
	}
	shared := limiter(t)
	grown = heapOf(func() {
		for i := range subjects {
			a := &batch{expires: math.MaxInt64 / 2} // not swept
			shared.batches.Store(shared.hasher.id(&Key{Name: fmt.Sprint(i)}), a)
		}
	})
	t.Logf("%d fetched: %d bytes each", subjects, grown/subjects)
	if said := shared.Stats(); said.Bytes != subjects*batchBytes || grown > said.Bytes {
		t.Errorf("%d bytes, said are %+v", grown, said)
	}
	runtime.KeepAlive(local)
	runtime.KeepAlive(shared)
}

// Contract 9.7: a budget that changes is in force at once, and takes no limit away.
func TestRateMemoryChanges(t *testing.T) {
	l, rate := limiter(t), prepared(t, Limit{Name: "x", Count: 1, Window: time.Hour})
	take := func(name string) bool {
		return l.takeAt(0, []*Limit{rate}, []Key{{Policy: "x", Name: name}}, make([]State, 1))
	}
	for i := range 100 {
		take(fmt.Sprint("first", i))
	}
	for _, tt := range []struct {
		budget  int64
		buckets int
	}{
		{50 * bucketBytes, 100}, // those that are there stay
		{150*bucketBytes + 1, 150},
		{1, 150},
		{300 * bucketBytes, 300},
	} {
		l.Resize(tt.budget)
		for i := range 1000 {
			take(fmt.Sprint(tt.budget, "/", i))
		}
		if said := l.Stats(); said.Buckets != tt.buckets || said.Budget != tt.budget {
			t.Errorf("%d bytes: %+v", tt.budget, said)
		}
		for i := range 100 {
			if take(fmt.Sprint("first", i)) {
				t.Fatalf("%d bytes: limit %d was reset", tt.budget, i)
			}
		}
	}
	l.Resize(0)
	if l.Stats().Budget != DefaultLimitBytes {
		t.Errorf("%+v", l.Stats())
	}
}
