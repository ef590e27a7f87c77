package capacity

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// modelRoom is a Room told slowly: who holds how much, and the max-min share by
// progressive filling.
type modelRoom struct {
	capacity int64
	held     map[string]int64
	weight   map[string]int64 // as it was at the last call
}

func (m *modelRoom) all() (sum int64) {
	for _, n := range m.held {
		sum += n
	}
	return sum
}

// share returns what the tenant gets of the capacity by weighted max-min
// fairness, if it wants one place more than it holds and the others want what
// they hold: all levels rise together, and who has what it wants drops out.
func (m *modelRoom) share(tenant string) *big.Rat {
	type claim struct {
		name          string
		wants, weight int64
	}
	claims := []claim{{tenant, m.held[tenant] + 1, m.weight[tenant]}}
	for name, n := range m.held {
		if name != tenant && n > 0 {
			claims = append(claims, claim{name, n, m.weight[name]})
		}
	}
	// By the level at which each has what it wants.
	slices.SortFunc(claims, func(a, b claim) int {
		return big.NewRat(a.wants, a.weight).Cmp(big.NewRat(b.wants, b.weight))
	})
	left, weights := big.NewRat(m.capacity, 1), int64(0)
	for _, c := range claims {
		weights += c.weight
	}
	for _, c := range claims {
		level := new(big.Rat).Quo(left, big.NewRat(weights, 1))
		got := new(big.Rat).Mul(level, big.NewRat(c.weight, 1))
		if want := big.NewRat(c.wants, 1); want.Cmp(got) < 0 {
			got = want
		}
		if c.name == tenant {
			return got
		}
		left.Sub(left, got)
		weights -= c.weight
	}
	panic("the tenant is among the claims")
}

// answer is contract 9.6, sentence by sentence.
func (m *modelRoom) answer(t Tenant) Crowding {
	held := m.held[t.Project]
	most := m.capacity
	if t.Share > 0 && t.Share < 100 {
		most = max(m.capacity*t.Share/100, 1)
	}
	switch {
	case m.capacity == 0:
		return ""
	case most < m.capacity && held >= most:
		return CrowdedShare // "one holds at most `capacity_share` of it"
	case m.all() < m.capacity:
		return ""
	case 4*m.all() >= 5*m.capacity, held >= m.capacity:
		return CrowdedFull // "up to 125 % of capacity in all"
	case m.share(t.Project).Cmp(big.NewRat(held+1, 1)) < 0:
		return CrowdedFair // "the one above is refused first"
	}
	return "" // "a project below its weighted max-min share still enters"
}

// Contract 9.6: whatever happens in whatever order, a room answers by the rule,
// counts right, and is empty when all have left.
func TestRoomByTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := new(Room)
		m := &modelRoom{held: make(map[string]int64), weight: make(map[string]int64)}
		share := rapid.SampledFrom([]int64{0, 1, 50, 80, 99, 100}).Draw(t, "share")
		seats := make(map[string][]Seat)
		capacity := func(t *rapid.T) {
			m.capacity = rapid.SampledFrom([]int64{0, 1, 2, 3, 4, 5, 7, 10, 40, 100}).Draw(t, "capacity")
			room.SetCapacity(m.capacity)
		}
		capacity(t)
		t.Repeat(map[string]func(*rapid.T){
			"reload": capacity,
			"enter": func(t *rapid.T) {
				who := Tenant{
					Project: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "project"),
					Weight:  rapid.SampledFrom([]int64{1, 1, 2, 3, 10}).Draw(t, "weight"),
					Share:   share,
				}
				// Often many at once: a tenant that floods.
				for range rapid.SampledFrom([]int{1, 1, 1, 5, 50}).Draw(t, "calls") {
					m.weight[who.Project] = who.Weight
					want := m.answer(who)
					seat, got := room.Enter(&who)
					if got != want {
						t.Fatalf("capacity %d, held %v: %s is told %q, want %q", m.capacity, m.held, who.Project, got, want)
					}
					if got == "" {
						seats[who.Project] = append(seats[who.Project], seat)
						m.held[who.Project]++
					} else if seat != (Seat{}) {
						t.Fatal("a seat with a refusal")
					}
				}
			},
			"leave": func(t *rapid.T) {
				who := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "project")
				for range min(len(seats[who]), rapid.SampledFrom([]int{1, 1, 3, 60}).Draw(t, "calls")) {
					last := len(seats[who]) - 1
					seats[who][last].Leave()
					seats[who] = seats[who][:last]
					m.held[who]--
				}
			},
			"": func(t *rapid.T) {
				if room.Held() != m.all() {
					t.Fatalf("%d held, want %d", room.Held(), m.all())
				}
			},
		})
		for _, of := range seats {
			for _, seat := range of {
				seat.Leave()
			}
		}
		checkEmpty(t, room)
	})
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkEmpty(t failer, r *Room) {
	t.Helper()
	if r.Held() != 0 || len(r.tenants) != 0 {
		t.Fatalf("%d held by %d tenants at the end", r.Held(), len(r.tenants))
	}
	for _, l := range r.byLevel {
		if l.tenants != 0 || slices.ContainsFunc(l.tree, func(n int64) bool { return n != 0 }) {
			t.Fatalf("weight %d is counted yet: %d, %v", l.weight, l.tenants, l.tree)
		}
	}
}

// What a tenant sees of the room is full exactly when it is refused; else below,
// and never fuller than it is.
func TestRoomFactor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := new(Room)
		room.SetCapacity(rapid.Int64Range(1, 50).Draw(t, "capacity"))
		var tenants []Tenant
		for i := range 4 {
			who := Tenant{Project: fmt.Sprint(i), Weight: rapid.Int64Range(1, 4).Draw(t, "weight"), Share: 80}
			tenants = append(tenants, who)
			for range rapid.IntRange(0, 40).Draw(t, "calls") {
				room.Enter(&who)
			}
		}
		for _, who := range tenants {
			factor, _ := room.Factor(&who)
			if why := room.Standing(&who).Crowding; (factor >= 1) != (why != "") {
				t.Fatalf("%s: full to %v, and told %q; %+v", who.Project, factor, why, room.Standing(&who))
			}
			if full := float64(room.Held()) / float64(room.Capacity()); factor > max(full, 1) {
				t.Fatalf("%s: full to %v, of %v", who.Project, factor, full)
			}
		}
	})
}

// Contract 9.6 by the example of its issue: calls of one project that hang
// leave room for all others, however many there are.
func TestRoomAfterAFlood(t *testing.T) {
	room := new(Room)
	room.SetCapacity(2000)
	noisy := Tenant{Project: "noisy", Share: 80}
	refused := 0
	for range 4000 {
		if _, why := room.Enter(&noisy); why != "" {
			refused++
		}
	}
	if refused != 2400 {
		t.Errorf("%d of 4000 refused, want those beyond 80 %% of 2000", refused)
	}
	for i := range 9 {
		who := Tenant{Project: fmt.Sprint("quiet", i), Share: 80}
		for n := range 100 { // 900 in all: 400 within the capacity, 500 beyond
			if _, why := room.Enter(&who); why != "" {
				t.Fatalf("call %d of %s: %s", n, who.Project, why)
			}
		}
	}
	if _, why := room.Enter(&Tenant{Project: "late", Share: 80}); why != CrowdedFull {
		t.Errorf("at 125 %%: %q", why)
	}
}

// Plans have weights: of two that want all, one of weight 3 gets three times
// what one of weight 1 gets.
func TestRoomWeights(t *testing.T) {
	room := new(Room)
	room.SetCapacity(100)
	small, large := Tenant{Project: "small", Weight: 1, Share: 80}, Tenant{Project: "large", Weight: 3, Share: 80}
	for range 100 {
		room.Enter(&small)
	}
	for range 100 {
		room.Enter(&large)
	}
	// small holds what it took while there was room; large goes up to its share
	// of three quarters, beyond the capacity but not the limit.
	if s, l := room.Standing(&small), room.Standing(&large); s.Held != 80 || l.Held != 45 || l.Crowding != CrowdedFull || s.Crowding != CrowdedShare {
		t.Errorf("small %+v, large %+v", s, l)
	}
}

// Many at once lose no place, under the race detector.
func TestRoomConcurrently(t *testing.T) {
	room := new(Room)
	room.SetCapacity(40)
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(g, 1))
			var seats []Seat
			for range 5000 {
				who := Tenant{Project: fmt.Sprint(random.IntN(6)), Weight: 1 + random.Int64N(2), Share: 80}
				switch seat, why := room.Enter(&who); {
				case why != "":
					room.Factor(&who)
				case random.IntN(3) == 0:
					seats = append(seats, seat)
				default:
					seat.Leave()
				}
				if random.IntN(100) == 0 {
					room.SetCapacity(random.Int64N(60))
				}
				if len(seats) > 8 {
					seats[0].Leave()
					seats = seats[1:]
				}
			}
			for _, seat := range seats {
				seat.Leave()
			}
		})
	}
	wg.Wait()
	checkEmpty(t, room)
}

// Memory is what is held: tenants that are gone leave nothing but what the next
// ones use, also weights.
func TestRoomForgets(t *testing.T) {
	room := new(Room)
	for i := range int64(10_000) {
		seat, _ := room.Enter(&Tenant{Project: fmt.Sprint(i), Weight: i + 1})
		seat.Leave()
	}
	if len(room.tenants) != 0 || len(room.spare) > spareHoldings || len(room.byLevel) > ordinaryWeights {
		t.Errorf("%d tenants, %d spare, %d weights", len(room.tenants), len(room.spare), len(room.byLevel))
	}
	checkEmpty(t, room)
}

// A call's way in and out: with few places taken, and full with a thousand
// tenants of two weights, where each call is weighed against all.
func BenchmarkRoom(b *testing.B) {
	for _, bc := range []struct {
		name     string
		capacity int64
		tenants  int
		each     int
	}{
		{"no capacity", 0, 1, 10},
		{"empty", 100_000, 1000, 10},
		{"full, 1000 tenants", 10_000, 1000, 10},
		{"full, one holds most", 2000, 2, 1600},
	} {
		b.Run(bc.name, func(b *testing.B) {
			room := new(Room)
			room.SetCapacity(bc.capacity)
			tenants := make([]Tenant, bc.tenants)
			for i := range tenants {
				tenants[i] = Tenant{Project: fmt.Sprintf("project-%05d", i), Weight: int64(1 + i%2), Share: 80}
				for range bc.each {
					room.Enter(&tenants[i])
				}
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(bc.tenants); pb.Next(); i++ {
					seat, _ := room.Enter(&tenants[i%bc.tenants])
					seat.Leave()
				}
			})
		})
	}
}
