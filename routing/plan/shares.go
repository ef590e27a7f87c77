package plan

import (
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

const (
	// partial is how much more than its part of the capacity a region with
	// backends down is trusted with.
	partial = 1.4
	// loadBegin is the load from which on a region gives requests away, and
	// above which it takes none that others give away.
	loadBegin = 0.8
)

// cut is what took most from a region's share.
type cut uint8

const (
	cutNone    cut = iota
	cutDown        // it may not be used: down
	cutDrained     // it may not be used: drained
	cutHealth      // some of its backends are down
	cutStart       // it came back a moment ago
	cutDrain       // it is being drained
	cutLoad        // it is full, or nearly
)

// share is a region's part of the requests.
type share struct {
	index int           // in View.Regions
	score time.Duration // what the order comes from; lower is better
	part  float64       // 0 to 1
	cut   cut
	// known says that the score says anything; else the order is the
	// configuration's.
	known bool
	// detour says that it is too far from the gateway, in NearClient.
	detour bool
	// spill says that it may take what a better one has no room for.
	spill bool
}

// shares appends the regions that q may use, best first, with the part of such
// requests that each of them gets: what one can't take goes to the next. The
// sum is 1, or 0 if nothing has room.
func (p *Planner) shares(v *regions.View, q *Query, into []share) []share {
	into = p.order(v, q, into)
	// rest is what is still to be given away; healthy is the part of it that is
	// not there because something better is full.
	rest, healthy := 1.0, 1.0
	best := -1
	for i := range into {
		s := &into[i]
		r := &v.Regions[s.index]
		if !r.Usable() {
			s.cut = cutDown
			if r.State == regions.StateDrained {
				s.cut = cutDrained
			}
			continue
		}
		if best < 0 {
			best = i
		}
		var able, room float64
		able, room, s.cut = ability(r, q)
		s.spill = able > 0 && (i == best || s.score-into[best].score <= p.policy.MaxSpill && room == 1)
		most := rest
		if i != best && !s.spill {
			most = min(rest, healthy)
		}
		s.part = min(able*room, most)
		rest -= s.part
		healthy = max(0, healthy-able)
	}
	if sum := 1 - rest; sum > 0 && rest > 0 {
		for i := range into {
			into[i].part /= sum
		}
	}
	return into
}

// ability returns the part of all requests that a region can take for its
// health, the part of that for its load, and what took most. How full a region
// is depends on who asks: those who hold much of it are sent away first.
func ability(r *regions.RegionView, q *Query) (able, room float64, most cut) {
	health := min(1, partial*float64(r.Healthy)/float64(len(r.Backends)))
	room = 1
	switch load, known := r.Load.For(&q.Tenant, q.Socket); {
	case !known:
	case load >= 1: // whatever rounding says
		room = 0
	default:
		room = 1 - max(0, (load-loadBegin)/(1-loadBegin))
	}
	least := 1.0
	for _, factor := range [...]struct {
		value float64
		cut   cut
	}{{room, cutLoad}, {health, cutHealth}, {r.SlowStart, cutStart}, {1 - r.Drained, cutDrain}} {
		if factor.value < least {
			least, most = factor.value, factor.cut
		}
	}
	return health * r.SlowStart * (1 - r.Drained), room, most
}

// order appends the regions that q may use, best first.
func (p *Planner) order(v *regions.View, q *Query, into []share) []share {
	if p.policy.Mode == NearClient {
		if list := p.byClient(v, q, into); len(list) > len(into) {
			return list
		}
	}
	for _, i := range v.Order {
		if r := &v.Regions[i]; allowed(q.Residency, r.Region.Name) {
			into = append(into, share{index: i, score: r.Score, known: v.Ranked})
		}
	}
	return into
}

// byClient appends the regions by their round trip from the client, those that
// are too long a detour for the gateway last. It appends nothing if the
// client's place is unknown.
func (p *Planner) byClient(v *regions.View, q *Query, into []share) []share {
	nearest, known := nearestRTT(v, q.Residency)
	from, client := len(into), geo.ClientRTTsOf(&q.Client)
	for _, i := range v.Order {
		r := &v.Regions[i]
		if !allowed(q.Residency, r.Region.Name) {
			continue
		}
		rtt, ok := client.To(r.Region.Target())
		if !ok {
			return into[:from]
		}
		s := share{index: i, score: rtt + r.Region.Bias, known: true}
		s.detour = p.policy.MaxDetour > 0 && known && r.Known && r.Distance.RTT-nearest > p.policy.MaxDetour
		// Sorted as they come: they are few, and no library's sort is free.
		into = append(into, s)
		for k := len(into) - 1; k > from && s.before(into[k-1]); k-- {
			into[k-1], into[k] = s, into[k-1]
		}
	}
	return into
}

// before reports whether s is nearer to the client than other.
func (s share) before(other share) bool {
	if s.detour != other.detour {
		return other.detour
	}
	return s.score < other.score
}

func nearestRTT(v *regions.View, residency []string) (nearest time.Duration, known bool) {
	for i := range v.Regions {
		r := &v.Regions[i]
		if r.Known && allowed(residency, r.Region.Name) && (!known || r.Distance.RTT < nearest) {
			nearest, known = r.Distance.RTT, true
		}
	}
	return nearest, known
}

// pick returns the index in list of the region for a request, by a hash of its
// id. If none has a part it is the best one that may be used, and none is true;
// if none may be used it is -1.
func pick(list []share, id string) (chosen int, none bool) {
	first := -1
	sum := 0.0
	for i := range list {
		if list[i].cut == cutDown || list[i].cut == cutDrained {
			continue
		}
		if first < 0 {
			first = i
			if list[i].part >= 1 {
				return i, false
			}
		}
		sum += list[i].part
	}
	if first < 0 || sum == 0 {
		return first, true
	}
	at := fraction(id) * sum
	for i := range list {
		if list[i].part == 0 {
			continue
		}
		chosen = i // the last one, should the sum be rounded
		if at -= list[i].part; at < 0 {
			break
		}
	}
	return chosen, false
}

// fraction spreads ids evenly over 0 to 1, the same in every process: FNV-1a,
// and the finalizer of MurmurHash3 since FNV's high bits move little.
func fraction(id string) float64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}

// reason says why region chosen of list runs the request (contract 2.7): what
// took the request from the best one.
func reason(list []share, chosen int) regions.Reason {
	if chosen == 0 {
		if !list[0].known {
			return regions.ReasonDefault
		}
		return regions.ReasonNearest
	}
	switch list[0].cut {
	case cutLoad:
		return regions.ReasonSpill
	case cutDrain, cutDrained:
		return regions.ReasonDrain
	case cutNone, cutDown, cutHealth, cutStart:
	}
	return regions.ReasonFailover
}
