package plan

import (
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

const (
	// partial is the factor by which the share of a region with backends down may
	// exceed the fraction of backends that are up.
	partial = 1.4
	// loadBegin is the load above which a region gives requests away and takes none
	// from others.
	loadBegin = 0.8
)

// cut is the main reason why a region's share is reduced.
type cut uint8

const (
	cutNone    cut = iota
	cutDown        // not usable: down
	cutDrained     // not usable: drained
	cutHealth      // some of its backends are down
	cutStart       // it came back recently
	cutDrain       // it is being drained
	cutLoad        // it is full, or nearly
)

// share is a region's part of the requests.
type share struct {
	index int           // in View.Regions
	score time.Duration // decides the order; lower is better
	part  float64       // 0 to 1
	cut   cut
	// known is true if the score is known; else the order is the configuration's.
	known bool
	// detour is true if the region is too far from the gateway, in NearClient.
	detour bool
	// spill is true if it may take requests for which a better one has no room.
	spill bool
}

// shares appends the regions that q may use, best first, with the fraction of such
// requests that each gets: what one can't take goes to the next. The sum is 1, or 0
// if no region has room.
func (p *Planner) shares(v *regions.View, q *Query, into []share) []share {
	into = p.order(v, q, into)
	// rest is the fraction not yet given to a region; healthy the part of it that
	// better regions leave by their health, drain or slow start, not by their load.
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

// ability returns the fraction of all requests that a region can take by its
// health, the fraction of that by its load, and the main reason of the reduction.
// The load depends on the tenant: those that hold much are sent away first.
func ability(r *regions.RegionView, q *Query) (able, room float64, most cut) {
	health := min(1, partial*float64(r.Healthy)/float64(len(r.Backends)))
	room = 1
	switch load, known := r.Load.For(&q.Tenant, q.Socket); {
	case !known:
	case load >= 1: // exactly 0, without rounding
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

// byClient appends the regions by their round trip from the client, those too far
// from the gateway last. It appends nothing if the client's place is unknown.
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
		// Insertion sort: they are few, and a library's sort allocates.
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
// id. If no region has a share it is the best usable one, and none is true. If no
// region is usable it is -1.
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

// reason returns the reason why region chosen of list runs the request (contract
// 2.7): it is that of the best region's reduced share.
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
