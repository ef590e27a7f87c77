package regions

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// rankings runs a Ranker over virtual time.
type rankings struct {
	Ranker
	now time.Time
}

// after ranks by scores in milliseconds some time later.
func (r *rankings) after(d time.Duration, list ...Scored) string {
	r.now = r.now.Add(d)
	var names []string
	for _, i := range r.Rank(r.now, list) {
		names = append(names, list[i].Name)
	}
	return strings.Join(names, " ")
}

func expected(name string, ms float64) Scored {
	return Scored{Name: name, Score: time.Duration(ms * float64(time.Millisecond))}
}

func measured(name string, ms float64) Scored {
	s := expected(name, ms)
	s.Measured = true
	return s
}

func biased(s Scored, ms float64) Scored {
	s.Bias = time.Duration(ms * float64(time.Millisecond))
	s.Score += s.Bias
	return s
}

func TestRank(t *testing.T) {
	type step struct {
		after time.Duration
		list  []Scored
		want  string
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"by what is expected", []step{{0, []Scored{expected("a", 90), expected("b", 3), expected("c", 20)}, "b c a"}}},
		{"equal ones as configured", []step{{0, []Scored{expected("a", 3), expected("b", 3)}, "a b"}}},
		{"nothing is expected: as configured", []step{{0, []Scored{measured("a", 4), measured("b", 3.5), measured("c", 3)}, "a b c"}}},
		{"nothing is expected, one is much nearer", []step{{0, []Scored{measured("a", 90), measured("b", 3)}, "b a"}}},
		{"measured alike, they stay as expected", []step{
			{0, []Scored{expected("a", 90), expected("b", 3)}, "b a"},
			{time.Second, []Scored{measured("a", 0.4), expected("b", 3)}, "b a"},
			{time.Second, []Scored{measured("a", 0.4), measured("b", 0.5)}, "b a"},
			{time.Hour, []Scored{measured("a", 0.4), measured("b", 0.5)}, "b a"},
		}},
		{"a first measurement counts at once", []step{
			{0, []Scored{expected("a", 3), expected("b", 90)}, "a b"},
			{time.Second, []Scored{measured("a", 200), measured("b", 90)}, "b a"},
		}},
		{"a later one after 30 s", []step{
			{0, []Scored{measured("a", 3), measured("b", 90)}, "a b"},
			{time.Minute, []Scored{measured("a", 200), measured("b", 90)}, "a b"},
			{29 * time.Second, []Scored{measured("a", 200), measured("b", 90)}, "a b"},
			{time.Second, []Scored{measured("a", 200), measured("b", 90)}, "b a"},
		}},
		{"not if it was not so all the time", []step{
			{0, []Scored{measured("a", 3), measured("b", 90)}, "a b"},
			{time.Minute, []Scored{measured("a", 200), measured("b", 90)}, "a b"},
			{20 * time.Second, []Scored{measured("a", 100), measured("b", 90)}, "a b"},
			{20 * time.Second, []Scored{measured("a", 200), measured("b", 90)}, "a b"},
			{29 * time.Second, []Scored{measured("a", 200), measured("b", 90)}, "a b"},
		}},
		{"not for 10 ms of many", []step{
			{0, []Scored{measured("a", 100), measured("b", 200)}, "a b"},
			{time.Hour, []Scored{measured("a", 100), measured("b", 80)}, "a b"},
			{time.Hour, []Scored{measured("a", 100), measured("b", 80)}, "a b"},
		}},
		{"not for half of little", []step{
			{0, []Scored{measured("a", 8), measured("b", 20)}, "a b"},
			{time.Hour, []Scored{measured("a", 8), measured("b", 2)}, "a b"},
			{time.Hour, []Scored{measured("a", 8), measured("b", 2)}, "a b"},
		}},
		{"the best takes the first place over one between", []step{
			{0, []Scored{measured("a", 10), measured("b", 20), measured("c", 30)}, "a b c"},
			{time.Minute, []Scored{measured("a", 100), measured("b", 70), measured("c", 60)}, "a b c"},
			{time.Minute, []Scored{measured("a", 100), measured("b", 70), measured("c", 60)}, "c a b"},
		}},
		{"another bias counts at once, by however little", []step{
			{0, []Scored{measured("a", 5), measured("b", 7)}, "a b"},
			{time.Second, []Scored{biased(measured("a", 5), 3), measured("b", 7)}, "b a"},
			{time.Hour, []Scored{biased(measured("a", 5), 3), measured("b", 9)}, "b a"},
		}},
		{"a region is added and another removed", []step{
			{0, []Scored{expected("a", 3), expected("b", 90)}, "a b"},
			{time.Second, []Scored{expected("b", 90), expected("c", 20)}, "c b"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &rankings{now: time.Unix(0, 0)}
			for i, s := range tc.steps {
				if got := r.after(s.after, s.list...); got != s.want {
					t.Fatalf("step %d: %s, want %s", i, got, s.want)
				}
			}
		})
	}
}

// probes measures regions every two seconds of virtual time, with noise, and
// ranks them.
type probes struct {
	rankings
	rtts       []float64 // ms
	noise      *rand.Rand
	estimators []Estimator
}

func newProbes(seed uint64, rtts ...float64) *probes {
	noise := rand.New(rand.NewPCG(seed, 2)) // #nosec G404 -- the same each time
	return &probes{rankings{now: time.Unix(0, 0)}, rtts, noise, make([]Estimator, len(rtts))}
}

// next returns the order, as a string of the letters a, b and so on.
func (p *probes) next() string {
	p.now = p.now.Add(2 * time.Second)
	var list []Scored
	for i, rtt := range p.rtts {
		rtt *= 0.85 + 0.3*p.noise.Float64()
		p.estimators[i].Observe(p.now, time.Duration(rtt*float64(time.Millisecond)))
		list = append(list, Scored{Name: string(rune('a' + i)), Score: p.estimators[i].Distance(p.now).RTT, Measured: true})
	}
	return strings.ReplaceAll(p.after(0, list...), " ", "")
}

// until returns how long it takes until the first place is a region's.
func (p *probes) until(name string) time.Duration {
	began := p.now
	for p.now.Sub(began) < time.Hour {
		if p.next()[:1] == name {
			break
		}
	}
	return p.now.Sub(began)
}

// An hour of probes with 15 % of noise on the round trips of Europe, 1 to 7 ms
// apart, changes no place.
func TestRankNoise(t *testing.T) {
	for _, tc := range []struct {
		name string
		rtts []float64
	}{
		{"from Frankfurt", []float64{2, 9, 14, 21}},
		{"from Paris", []float64{3, 8, 10, 17}},
		{"1 ms apart", []float64{10, 11, 12, 13, 14}},
		{"alike and far", []float64{150, 152, 155}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(10) {
				p := newProbes(seed, tc.rtts...)
				order := p.next()
				for i := range 1800 {
					if got := p.next(); got != order {
						t.Fatalf("seed %d, probe %d: %s, was %s", seed, i, got, order)
					}
				}
			}
		})
	}
}

// What has truly changed changes the order, 30 s after it shows.
func TestRankTrueChange(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rtts   []float64
		change []float64
		most   time.Duration
	}{
		{"the second comes nearer", []float64{60, 100}, []float64{60, 20}, 40 * time.Second},
		{"the first goes away", []float64{3, 25}, []float64{150, 25}, 45 * time.Second},
		{"the first is five times slower", []float64{20, 30}, []float64{100, 30}, 45 * time.Second},
		{"the first goes away a little", []float64{3, 25}, []float64{50, 25}, 5*time.Minute + 45*time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(10) {
				p := newProbes(seed, tc.rtts...)
				if got := p.until("a"); got != 2*time.Second {
					t.Fatalf("seed %d: %v until the first probe counts", seed, got)
				}
				for range 300 {
					p.next()
				}
				p.rtts = tc.change
				if got := p.until("b"); got < rankHeld || got > tc.most {
					t.Errorf("seed %d: it takes %v, want 30s to %v", seed, got, tc.most)
				}
			}
		})
	}
}
