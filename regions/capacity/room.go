package capacity

import (
	"sync"
	"sync/atomic"
)

// Tenant is the project that a call belongs to, with its claim on a region's
// capacity (contract 9.6).
type Tenant struct {
	// Project is the project's reference.
	Project string
	// Weight is the project's weight against others in a full region, from its
	// plan. Values below 1 count as 1.
	Weight int64
	// Share is the part of a region's capacity that the project may hold, in
	// percent. 0 is all of it, for a gateway with a single project.
	Share int64
}

func (t *Tenant) weight() int64 { return max(t.Weight, 1) }

// most returns how many places of a capacity the tenant may hold; at least one.
func (t *Tenant) most(capacity int64) int64 {
	if t.Share <= 0 || t.Share >= 100 {
		return capacity
	}
	return max(capacity/100*t.Share+capacity%100*t.Share/100, 1)
}

// Crowding is the reason why a region has no room for a call; "" if it has.
type Crowding string

// The reasons.
const (
	// CrowdedFull: all places are taken, including those beyond the capacity that
	// are kept for projects below their fair share.
	CrowdedFull Crowding = "full"
	// CrowdedFair: all places are taken, and the project holds its fair share.
	CrowdedFair Crowding = "fair_share"
	// CrowdedShare: the project holds the largest share one may hold.
	CrowdedShare Crowding = "capacity_share"
)

// Crowdings are the reasons in the order of Room.Refused.
var Crowdings = [...]Crowding{CrowdedFull, CrowdedFair, CrowdedShare}

// Room hands out the places of a region for one kind of calls, fairly among
// projects. While places are free, everybody gets one, up to its Share. When all
// are taken, projects that hold less than their weighted max-min share still get
// one, up to a quarter beyond the capacity. A place is never taken away. The zero
// value has no limit, and counts. It is safe for concurrent use.
type Room struct {
	capacity atomic.Int64 // 0: no limit
	held     atomic.Int64 // changes under mu
	waiting  atomic.Int64
	refused  [len(Crowdings)]atomic.Uint64

	mu      sync.Mutex // guards the fields below
	tenants map[string]*holding
	byLevel []*levels  // one for each weight seen
	spare   []*holding // of tenants that hold nothing, for reuse
}

// holding counts the places of one tenant.
type holding struct {
	project string
	held    int64
	levels  *levels // of its weight; it counts in levels 1 to held
}

// spareHoldings is the most holdings kept for reuse.
const spareHoldings = 256

// Seat is a place that a call holds. The zero value is none.
type Seat struct {
	room    *Room
	holding *holding
}

// Capacity returns the number of places, 0 for no limit.
func (r *Room) Capacity() int64 { return r.capacity.Load() }

// SetCapacity sets the number of places, 0 for no limit. Places that are held stay
// held.
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

// Enter takes a place, or returns the reason why there is none.
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

// force takes a place, even beyond the limit.
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

// Standing describes the places of one tenant in a room.
type Standing struct {
	Held     int64    // by the tenant
	Most     int64    // the most it may hold by its Share; 0: no limit
	All      int64    // held by all tenants
	Capacity int64    // 0: no limit
	Crowding Crowding // the reason why another call would be refused now, or ""
}

// Standing returns the current standing of a tenant. It takes no place.
func (r *Room) Standing(t *Tenant) Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.tenants[t.Project]
	s := Standing{
		Held:     h.count(),
		All:      r.held.Load(),
		Capacity: r.capacity.Load(),
		Crowding: r.judge(t, h),
	}
	if s.Capacity > 0 {
		s.Most = t.most(s.Capacity)
	}
	return s
}

// Factor returns how full the room is for a tenant: 1 or more if there is no place
// for it, false if the room has no limit. It is the fraction of places that would
// be taken if nobody held more, by weight, than this tenant. So a tenant that
// holds much sees a full room before one that holds little.
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

// emptyEnough is the fill up to which nobody is short of places: routing moves
// calls elsewhere from 0.8 on.
const emptyEnough = 0.8

// limit is the most places that are given out: the capacity and a quarter, rounded
// up, for tenants that hold less than their share of a full room.
func limit(capacity int64) int64 { return capacity + (capacity+3)/4 }

// judge returns the reason why there is no place for another call of a tenant, ""
// if there is one; mu is held.
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

// levelled returns the number of places, times weight, that would be taken if a
// tenant of that weight held one more than held, and every other tenant at most as
// many by its own weight; mu is held. One more is within the tenant's max-min
// share exactly if the result fits into the capacity times weight: the share is
// the level at which the capacity is used up, and the places below a level only
// grow with it.
func (r *Room) levelled(held, weight int64) int64 {
	sum := weight // the additional place; those it holds are counted below
	for _, l := range r.byLevel {
		if l.tenants == 0 {
			continue
		}
		// For tenants of another weight the level may be a fraction.
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
	*h = holding{}
	if len(r.spare) < spareHoldings {
		r.spare = append(r.spare, h)
	}
}

// open adds a holding for a tenant without one; mu is held.
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

// reweigh moves a holding to another weight, after its project changed plans.
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

// ofWeight returns the levels of a weight. The levels of a weight that no tenant
// has any more are reused.
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

// ordinaryWeights is how many levels are kept before unused ones are reused.
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
