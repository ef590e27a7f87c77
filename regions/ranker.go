package regions

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// rankBetter is by how much a region must beat the one in its place, and
	// rankFactor to which part of its score; both for rankHeld.
	rankBetter = 10 * time.Millisecond
	rankFactor = 2.0 / 3
	rankHeld   = 30 * time.Second
)

// Scored is a region's name with what it is ordered by; lower is better.
type Scored struct {
	Name  string
	Score time.Duration // Bias included
	Bias  time.Duration
	// Measured says that the score comes from a measurement.
	Measured bool
}

// Ranker keeps regions in order of their scores with hysteresis: regions whose
// scores are close, as those of Europe are, do not change places with every
// probe. The zero value knows no order. It is safe for concurrent use.
type Ranker struct {
	mu    sync.Mutex
	order []string
	known map[string]ranked       // what a region's place came from
	since map[[2]string]time.Time // since when the second is better than the first
}

type ranked struct {
	measured bool
	bias     time.Duration
}

// Rank returns the indexes of list, best first. In each place the region that
// was there stays, unless the best of those left is at least 10 ms better and
// at most 2/3 of its score, and has been for 30 s. A region's first
// measurement and another bias put it where it belongs at once.
func (r *Ranker) Rank(now time.Time, list []Scored) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	byScore := make([]int, len(list))
	for i := range byScore {
		byScore[i] = i
	}
	slices.SortStableFunc(byScore, func(a, b int) int { return cmp.Compare(list[a].Score, list[b].Score) })
	order := byScore
	if !r.news(list) {
		order = r.settle(now, list, byScore)
	} else {
		clear(r.since)
	}
	r.remember(list, order)
	return order
}

// news reports whether the order can't stand on the last one: a region is new,
// was measured for the first time, or got another bias.
func (r *Ranker) news(list []Scored) bool {
	for _, s := range list {
		last, known := r.known[s.Name]
		if !known || s.Measured && !last.measured || s.Bias != last.bias {
			return true
		}
	}
	return false
}

func (r *Ranker) settle(now time.Time, list []Scored, byScore []int) []int {
	rest := r.previous(list)
	left := slices.Clone(byScore)
	order := make([]int, 0, len(list))
	since := make(map[[2]string]time.Time)
	for len(rest) > 0 {
		next := rest[0]
		for _, best := range left {
			if best == next || !beats(list[best], list[next]) {
				break // those behind are worse still
			}
			pair := [2]string{list[next].Name, list[best].Name}
			began, held := r.since[pair]
			if !held {
				began = now
			}
			since[pair] = began
			if now.Sub(began) >= rankHeld {
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

// previous returns the indexes of list in the order of the last time.
func (r *Ranker) previous(list []Scored) []int {
	rest := make([]int, 0, len(list))
	for _, name := range r.order {
		if i := slices.IndexFunc(list, func(s Scored) bool { return s.Name == name }); i >= 0 {
			rest = append(rest, i)
		}
	}
	return rest
}

func (r *Ranker) remember(list []Scored, order []int) {
	r.order = r.order[:0]
	for _, i := range order {
		r.order = append(r.order, list[i].Name)
	}
	r.known = make(map[string]ranked, len(list))
	for _, s := range list {
		r.known[s.Name] = ranked{s.Measured, s.Bias}
	}
}

func beats(challenger, incumbent Scored) bool {
	return incumbent.Score-challenger.Score >= rankBetter &&
		float64(challenger.Score) <= rankFactor*float64(incumbent.Score)
}
