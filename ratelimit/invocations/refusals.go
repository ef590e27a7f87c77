package invocations

import (
	"slices"
	"sync"
	"time"
)

const (
	// stripes are the parts of Refusals. A project always has the same one: a flood of
	// refused requests drops those of the projects that share its part, not of others.
	stripes = 16
	// stripeSize is how many refused requests a part keeps.
	stripeSize = 128
	// longestName is where the names of functions that callers choose are cut, in bytes.
	longestName = 64
)

// Refusal is a request that the gateway refused and that is no invocation.
type Refusal struct {
	Gateway   string // the id of its instance log; set by List and Follower
	At        time.Time
	Duration  time.Duration
	RequestID string // its sb-request-id
	Project   string // "": unknown
	Function  string // its slug, cut to 64 bytes; "": unknown
	Region    string // "": none was chosen
	Status    int
	Code      string // its sb-error-code
}

// Refusals keeps the latest refused requests of a gateway in memory: 128 in each of 16
// parts, about 400 KiB. It is safe for concurrent use, and Add does not allocate.
type Refusals struct {
	begun   time.Time
	stripes [stripes]stripe
}

type stripe struct {
	mu    sync.Mutex
	added uint64 // how many ever
	kept  []kept // by added modulo stripeSize
}

// kept is a Refusal that keeps nothing of the request in memory but its id.
type kept struct {
	Refusal
	number   uint64
	function [longestName]byte
	length   int
}

// NewRefusals returns one that has none.
func NewRefusals() *Refusals {
	r := &Refusals{begun: time.Now()}
	for i := range r.stripes {
		r.stripes[i].kept = make([]kept, 0, stripeSize)
	}
	return r
}

// Add keeps a refused request, in the place of the oldest one of its part.
func (r *Refusals) Add(refusal *Refusal) {
	s := &r.stripes[stripeOf(refusal.Project)]
	s.mu.Lock()
	defer s.mu.Unlock()
	i := int(s.added % stripeSize)
	if i == len(s.kept) {
		s.kept = s.kept[:i+1]
	}
	s.added++
	k := &s.kept[i]
	k.Refusal, k.number = *refusal, s.added
	k.Function = "" // it is a part of the request's target, which may be long
	k.length = copy(k.function[:], refusal.Function)
}

// stripeOf is FNV-1a.
func stripeOf(project string) int {
	h := uint32(2166136261)
	for i := range len(project) {
		h = (h ^ uint32(project[i])) * 16777619
	}
	return int(h % stripes)
}

// since returns since when no refused request was dropped.
func (r *Refusals) since() time.Time {
	since := r.begun
	for i := range r.stripes {
		s := &r.stripes[i]
		s.mu.Lock()
		if s.added > stripeSize {
			if oldest := s.kept[s.added%stripeSize].At; oldest.After(since) {
				since = oldest
			}
		}
		s.mu.Unlock()
	}
	return since
}

// positions says how many refused requests were added to each part.
type positions [stripes]uint64

// position returns the present positions.
func (r *Refusals) position() (p positions) {
	for i := range r.stripes {
		r.stripes[i].mu.Lock()
		p[i] = r.stripes[i].added
		r.stripes[i].mu.Unlock()
	}
	return p
}

// after returns those that were added after a position and are still kept, in the order
// of their time, and moves the position to the present.
func (r *Refusals) after(p *positions) []*Refusal {
	var all []*Refusal
	for i := range r.stripes {
		s := &r.stripes[i]
		s.mu.Lock()
		for j := range s.kept {
			if k := &s.kept[j]; k.number > p[i] {
				one := k.Refusal
				one.Function = string(k.function[:k.length])
				all = append(all, &one)
			}
		}
		p[i] = s.added
		s.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b *Refusal) int { return a.At.Compare(b.At) })
	return all
}

// has reports whether a refused request is asked for.
func (q *Query) has(r *Refusal) bool {
	since, until := q.span()
	at := r.At.UnixMicro()
	return (q.Project == "" || q.Project == r.Project) && (q.Function == "" || q.Function == r.Function) &&
		(q.Region == "" || q.Region == r.Region) && at >= since && at < until && q.matches(r.Status, r.Duration)
}
