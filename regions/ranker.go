package regions

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// To take another's place a region's score must be lower by rankBetter, and at
	// most rankFactor times the other's, for rankHeld.
	rankBetter = 10 * time.Millisecond
	rankFactor = 2.0 / 3
	rankHeld   = 30 * time.Second
)

// Scored is a region's name with its score; lower is better.
type Scored struct {
	Name  string
	Score time.Duration // Bias included
	Bias  time.Duration
	// Measured is true if the score comes from a measurement. Measured scores are
	// not compared with expected ones.
	Measured bool
}

// Ranker keeps regions in order of their scores with hysteresis: regions whose
// scores are close, as those of Europe are, do not change places with every
// probe. The zero value knows no order. It is safe for concurrent use.
type Ranker struct {
	mu    sync.Mutex
	order []string
	known map[string]ranked       // the last score of each region, without its value
	since map[[2]string]time.Time // when the second began to beat the first
}

type ranked struct {
	measured bool
	bias     time.Duration
}

// Rank returns the indexes of list, best first. In each place the region that
// was there stays, unless the best of those left is at least 10 ms better and
// at most 2/3 of its score, and has been for 30 s. A first measurement counts at
// once, and so does another bias, by however little. A region that is new has
// its place by its expected score; without one it comes last.
func (r *Ranker) Rank(now time.Time, list []Scored) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	order := r.settle(now, list, r.previous(list))
	r.order = r.order[:0]
	for _, i := range order {
		r.order = append(r.order, list[i].Name)
	}
	r.known = make(map[string]ranked, len(list))
	for _, s := range list {
		r.known[s.Name] = ranked{s.Measured, s.Bias}
	}
	return order
}

// hasOrder reports whether Rank was called before.
func (r *Ranker) hasOrder() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.order) > 0
}

// previous returns the indexes of list in the order of the last Rank, with new
// regions inserted.
func (r *Ranker) previous(list []Scored) []int {
	order := make([]int, 0, len(list))
	for _, name := range r.order {
		if i := slices.IndexFunc(list, func(s Scored) bool { return s.Name == name }); i >= 0 {
			order = append(order, i)
		}
	}
	for i, s := range list {
		if _, known := r.known[s.Name]; known {
			continue
		}
		at := len(order)
		if !s.Measured {
			behind := func(j int) bool { return !list[j].Measured && list[j].Score > s.Score }
			if k := slices.IndexFunc(order, behind); k >= 0 {
				at = k
			}
		}
		order = slices.Insert(order, at, i)
	}
	return order
}

func (r *Ranker) settle(now time.Time, list []Scored, rest []int) []int {
	left := slices.Clone(rest)
	slices.SortStableFunc(left, func(a, b int) int { return cmp.Compare(list[a].Score, list[b].Score) })
	order := make([]int, 0, len(list))
	since := make(map[[2]string]time.Time)
	for len(rest) > 0 {
		next := rest[0]
		for _, best := range left {
			if best == next {
				break // those behind are worse
			}
			if r.takes(now, list[best], list[next], since) {
				next = best
				break
			}
		}
		order = append(order, next)
		is := func(i int) bool { return i == next }
		rest, left = slices.DeleteFunc(rest, is), slices.DeleteFunc(left, is)
	}
	r.since = since
	return order
}

// takes reports whether the challenger gets the incumbent's place, and records in
// since when it began to be better.
func (r *Ranker) takes(now time.Time, challenger, incumbent Scored, since map[[2]string]time.Time) bool {
	if challenger.Measured != incumbent.Measured {
		return false
	}
	a, b := r.known[challenger.Name], r.known[incumbent.Name]
	known := len(r.known) > 0
	if known && (a.bias != challenger.Bias || b.bias != incumbent.Bias) {
		return challenger.Score < incumbent.Score
	}
	if !beats(challenger, incumbent) {
		return false
	}
	if a.measured != challenger.Measured || b.measured != incumbent.Measured {
		return true
	}
	pair := [2]string{incumbent.Name, challenger.Name}
	began, held := r.since[pair]
	if !held {
		began = now
	}
	since[pair] = began
	return now.Sub(began) >= rankHeld
}

func beats(challenger, incumbent Scored) bool {
	return incumbent.Score-challenger.Score >= rankBetter &&
		float64(challenger.Score) <= rankFactor*float64(incumbent.Score)
}
