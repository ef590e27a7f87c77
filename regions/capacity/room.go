package capacity

import (
	"sync"
	"sync/atomic"
)

// Tenant is on whose behalf a call asks for room in a region (contract 9.6).
type Tenant struct {
	// Project is whose call it is.
	Project string
	// Weight is how much of a full region the project may have beside others,
	// the plan's word. Below 1 is 1.
	Weight int64
	// Share is how much of a region's capacity the project may hold, in percent.
	// 0 is all of it: there is no other project.
	Share int64
}

func (t *Tenant) weight() int64 { return max(t.Weight, 1) }

// most returns how many of so many places the tenant may hold; at least one.
func (t *Tenant) most(capacity int64) int64 {
	if t.Share <= 0 || t.Share >= 100 {
		return capacity
	}
	return max(capacity/100*t.Share+capacity%100*t.Share/100, 1)
}

// Crowding is why a region has no room for a call; "" where it has.
type Crowding string

// Why a region has no room.
const (
	// CrowdedFull: all places are taken, and those beyond them too that are kept
	// for the small.
	CrowdedFull Crowding = "full"
	// CrowdedFair: all places are taken, and the project holds its fair share.
	CrowdedFair Crowding = "fair_share"
	// CrowdedShare: the project holds as much as one may.
	CrowdedShare Crowding = "capacity_share"
)

// Crowdings are the reasons in the order of Room.Refused.
var Crowdings = [...]Crowding{CrowdedFull, CrowdedFair, CrowdedShare}

// Room hands out the places of a region for one kind of calls, fairly among
// projects. While some are free, everybody gets one, up to its Share. When all
// are taken, those that hold less than their weighted max-min share get a place
// all the same, up to a quarter more than there are. What holds a place keeps
// it. The zero value has places without end, and counts them. It is safe for
// concurrent use.
type Room struct {
	capacity atomic.Int64 // 0: without end
	held     atomic.Int64 // changes under mu
	waiting  atomic.Int64
	refused  [len(Crowdings)]atomic.Uint64

	mu      sync.Mutex // guards the fields below
	tenants map[string]*holding
	byLevel []*levels  // of each weight that was seen
	spare   []*holding // of tenants that are gone
}

// holding is what one tenant holds.
type holding struct {
	project string
	held    int64
	levels  *levels // of its weight; it is counted in 1 to held
}

// spareHoldings is how many holdings are kept for the next tenants.
const spareHoldings = 256

// Seat is a place that is held. The zero value is none.
type Seat struct {
	room    *Room
	holding *holding
}

// Capacity returns how many places there are, 0 for no end of them.
func (r *Room) Capacity() int64 { return r.capacity.Load() }

// SetCapacity says how many places there are, 0 for no end of them. What is held
// stays.
func (r *Room) SetCapacity(n int64) { r.capacity.Store(n) }

// Held returns how many places are taken.
func (r *Room) Held() int64 { return r.held.Load() }

// Refused returns how many calls ended without a place, in the order of
// Crowdings.
func (r *Room) Refused() (counts [len(Crowdings)]uint64) {
	for i := range counts {
		counts[i] = r.refused[i].Load()
	}
	return counts
}

// Refuse counts a call that ended without a place.
func (r *Room) Refuse(why Crowding) {
	for i, c := range Crowdings {
		if c == why {
			r.refused[i].Add(1)
		}
	}
}

const (
	// At most an eighth of a room's capacity of calls, or waitersLeast, wait at a
	// time: each of them costs memory, and looks again and again.
	waitersPart  = 8
	waitersLeast = 16
)

// BeginWait counts a call that waits for a place. It is false where too many
// wait already; EndWait must follow either way.
func (r *Room) BeginWait() bool {
	return r.waiting.Add(1) <= max(r.Capacity()/waitersPart, waitersLeast)
}

// EndWait is called once after each BeginWait.
func (r *Room) EndWait() { r.waiting.Add(-1) }

// Enter takes a place. Without one it says why there is none.
func (r *Room) Enter(t *Tenant) (Seat, Crowding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.tenants[t.Project]
	if h != nil && h.levels.weight != t.weight() {
		r.reweigh(h, t.weight())
	}
	if why := r.judge(t, h); why != "" {
		return Seat{}, why
	}
	return r.take(t, h), ""
}

// force takes a place, whether there is one or not.
func (r *Room) force(t *Tenant) Seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(t, r.tenants[t.Project])
}

// Leave gives the place back. It must not be called twice.
func (s Seat) Leave() {
	if s.room == nil {
		return
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.leave(s.holding)
}

// Standing is how a tenant stands in a room.
type Standing struct {
	Held     int64    // by the tenant
	Most     int64    // that it may hold by its Share; 0: no limit
	All      int64    // by everybody
	Capacity int64    // 0: without end
	Crowding Crowding // what a call would be told now
}

// Standing returns how a tenant stands. It takes nothing.
func (r *Room) Standing(t *Tenant) Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.tenants[t.Project]
	s := Standing{Held: h.count(), All: r.held.Load(), Capacity: r.capacity.Load(), Crowding: r.judge(t, h)}
	if s.Capacity > 0 {
		s.Most = t.most(s.Capacity)
	}
	return s
}

// Factor returns how full the room is for a tenant, from 1 on if it has no
// place for it, false if it has no end. It is the part of the places that would
// be taken if nobody held more, by weight, than this tenant: who holds much sees
// a full room before those who hold little.
func (r *Room) Factor(t *Tenant) (float64, bool) {
	capacity := r.capacity.Load()
	if capacity <= 0 {
		return 0, false
	}
	all := r.held.Load()
	full := float64(all) / float64(capacity)
	if all < t.most(capacity) && full <= emptyEnough {
		return full, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.tenants[t.Project]
	weight := h.weight(t)
	full = float64(r.levelled(h.count(), weight)-weight) / float64(capacity*weight)
	if r.judge(t, h) != "" {
		full = max(full, 1)
	}
	return full, true
}

// emptyEnough is how full a room may be without anybody's being short of places:
// routing gives calls away from 0.8 on.
const emptyEnough = 0.8

// limit is how many places are given out in all: a quarter, rounded up, is kept
// for those who hold less than their share of a full room.
func limit(capacity int64) int64 { return capacity + (capacity+3)/4 }

// judge says why there is no place for another call of a tenant; mu is held.
func (r *Room) judge(t *Tenant, h *holding) Crowding {
	capacity := r.capacity.Load()
	all := r.held.Load()
	most := t.most(capacity)
	switch {
	case capacity <= 0:
		return ""
	case h.count() >= most && most < capacity:
		return CrowdedShare
	case all < capacity:
		return ""
	case all >= limit(capacity) || h.count() >= capacity:
		return CrowdedFull
	}
	if weight := h.weight(t); r.levelled(h.count(), weight) > capacity*weight {
		return CrowdedFair
	}
	return ""
}

// levelled returns, times weight, how many places would be taken if a tenant of
// that weight, who holds so many, held one more, and no other more than this by
// weight; mu is held. One more is within the tenant's max-min share exactly if
// that fits into the capacity: the share is the level at which it is just used
// up, and what is held below a level only grows with it.
func (r *Room) levelled(held, weight int64) int64 {
	sum := weight // the one more; what it holds is counted below
	for _, l := range r.byLevel {
		if l.tenants == 0 {
			continue
		}
		// The level need not be whole for tenants of another weight.
		level := (held + 1) * l.weight
		whole, part := level/weight, level%weight
		at := l.sum(whole)
		sum += at * weight
		if part > 0 {
			sum += (l.sum(whole+1) - at) * part
		}
	}
	return sum
}

// take gives a place to a tenant; mu is held.
func (r *Room) take(t *Tenant, h *holding) Seat {
	if h == nil {
		h = r.open(t)
	}
	h.held++
	h.levels.add(h.held, 1)
	r.held.Add(1)
	return Seat{r, h}
}

// leave takes a place back; mu is held.
func (r *Room) leave(h *holding) {
	h.levels.add(h.held, -1)
	h.held--
	r.held.Add(-1)
	if h.held > 0 {
		return
	}
	h.levels.tenants--
	delete(r.tenants, h.project)
	if *h = (holding{}); len(r.spare) < spareHoldings {
		r.spare = append(r.spare, h)
	}
}

// open makes the holding of a tenant that has none; mu is held.
func (r *Room) open(t *Tenant) *holding {
	if r.tenants == nil {
		r.tenants = make(map[string]*holding)
	}
	h := new(holding)
	if n := len(r.spare); n > 0 {
		h, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	h.project, h.levels = t.Project, r.ofWeight(t.weight())
	h.levels.tenants++
	r.tenants[t.Project] = h
	return h
}

// reweigh counts a holding under another weight: its project has another plan.
func (r *Room) reweigh(h *holding, weight int64) {
	old, now := h.levels, r.ofWeight(weight)
	for k := int64(1); k <= h.held; k++ {
		old.add(k, -1)
		now.add(k, 1)
	}
	old.tenants--
	now.tenants++
	h.levels = now
}

// ofWeight returns the levels of a weight. Those of a weight that nobody has any
// more serve the next new one.
func (r *Room) ofWeight(weight int64) *levels {
	var free *levels
	for _, l := range r.byLevel {
		if l.weight == weight {
			return l
		}
		if l.tenants == 0 {
			free = l
		}
	}
	if free != nil && len(r.byLevel) >= ordinaryWeights {
		free.weight = weight
		return free
	}
	l := newLevels(weight)
	r.byLevel = append(r.byLevel, l)
	return l
}

// ordinaryWeights is how many weights are kept apart though nobody has them.
const ordinaryWeights = 8

func (h *holding) count() int64 {
	if h == nil {
		return 0
	}
	return h.held
}

func (h *holding) weight(t *Tenant) int64 {
	if h == nil {
		return t.weight()
	}
	return h.levels.weight
}
