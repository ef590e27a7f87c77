package rate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Contract 9.6: never more than the cap, and every place below it, whoever
// comes and goes; who has gone leaves nothing.
func TestInFlight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewInFlight()
		keys := make([]Key, 12)
		for i := range keys {
			keys[i] = Key{
				Policy:  []string{"project", "function", "client_ip"}[i%3],
				Project: "ab"[:1+i%2],
				Name:    []string{"", "b", "x"}[i/4],
				Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i / 6)}),
			}
		}
		counts, held := make(map[Key]int64), make(map[Key][]InFlightID)
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				key := rapid.SampledFrom(keys).Draw(t, "key")
				most := rapid.Int64Range(1, 4).Draw(t, "most") // a reload may lower it
				id, ok := f.Enter(&key, most)
				if want := counts[key] < most; ok != want {
					t.Fatalf("%+v: %v with %d of %d", key, ok, counts[key], most)
				}
				if ok {
					counts[key]++
					held[key] = append(held[key], id)
				}
			},
			"leave": func(t *rapid.T) {
				key := rapid.SampledFrom(keys).Draw(t, "key")
				if n := len(held[key]); n > 0 {
					f.Leave(held[key][n-1])
					held[key] = held[key][:n-1]
					counts[key]--
				}
			},
			"": func(t *rapid.T) {
				running := 0
				for _, n := range counts {
					running += int(min(n, 1))
				}
				if f.Len() != running {
					t.Fatalf("%d in memory, %d run", f.Len(), running)
				}
			},
		})
	})
}

// Calls that come and go at once leave nothing.
func TestInFlightConcurrently(t *testing.T) {
	f := NewInFlight()
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(g, 2))
			for range 5000 {
				key := Key{Policy: "function", Project: "p", Name: strings.Repeat("n", random.IntN(9))}
				if id, ok := f.Enter(&key, 3); ok {
					f.Leave(id)
				}
			}
		})
	}
	wg.Wait()
	if n := f.Len(); n != 0 {
		t.Errorf("%d in memory after all have left", n)
	}
}

func BenchmarkInFlight(b *testing.B) {
	f := NewInFlight()
	keys := make([]Key, 1000)
	for i := range keys {
		keys[i] = Key{Policy: "project", Project: fmt.Sprintf("project-%012d", i)}
		f.Enter(&keys[i], 100)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(keys)); pb.Next(); i++ {
			id, _ := f.Enter(&keys[i%len(keys)], 1<<40)
			f.Leave(id)
		}
	})
}
