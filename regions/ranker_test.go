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

// An hour of probes with 15 % of noise on the round trips of Europe changes no
// place.
func TestRankNoise(t *testing.T) {
	base := map[string]float64{"eu-central-1": 3, "eu-west-3": 10, "eu-west-2": 16, "eu-west-1": 25}
	names := []string{"eu-central-1", "eu-west-3", "eu-west-2", "eu-west-1"}
	r := &rankings{now: time.Unix(0, 0)}
	noise := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- the same each time
	estimators := make(map[string]*Estimator)
	for _, name := range names {
		estimators[name] = new(Estimator)
	}
	for i := range 1800 {
		var list []Scored
		for _, name := range names {
			rtt := base[name] * (0.85 + 0.3*noise.Float64())
			estimators[name].Observe(r.now, time.Duration(rtt*float64(time.Millisecond)))
			list = append(list, Scored{Name: name, Score: estimators[name].Distance(r.now).RTT, Measured: true})
		}
		if got := r.after(2*time.Second, list...); got != strings.Join(names, " ") {
			t.Fatalf("probe %d: %s", i, got)
		}
	}
}
