package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/edgegate/edgegate/regions/geo"
)

// misroutedBy is by how much another gateway must be nearer to a country for its
// clients to count as misrouted.
const misroutedBy = 30 * time.Millisecond

// MisroutedClients are the calls from a country that another gateway is nearer to.
type MisroutedClients struct {
	Country string  `json:"country"`
	Calls   int64   `json:"calls"`    // here, since the gateway started
	Gateway string  `json:"gateway"`  // the nearest
	Region  string  `json:"region"`   // where that gateway is
	Saves   float64 `json:"saves_ms"` // by how much its expected round trip is shorter
}

// CountCall notes a call from a client. One without a country counts nowhere.
func (f *Fleet) CountCall(c geo.Client) {
	if len(c.Country) == 2 {
		if i := 26*(int(c.Country[0])-'A') + int(c.Country[1]) - 'A'; i >= 0 && i < len(f.calls) {
			f.calls[i].Add(1)
		}
	}
}

// Misrouted lists the countries that another gateway of the fleet is nearer to
// than the one with the id own, which is at a place; those with the most calls
// first. It is empty while that place or the other gateways are not known.
func (f *Fleet) Misrouted(own string, at geo.Place) []MisroutedClients {
	list := []MisroutedClients{}
	heard, _ := f.Heard()
	here := geo.TargetOf(at)
	if len(heard) == 0 || here == nil {
		return list
	}
	for i := range f.calls {
		calls := f.calls[i].Load()
		if calls == 0 {
			continue
		}
		client := geo.Client{Country: string([]byte{byte('A' + i/26), byte('A' + i%26)})}
		rtt, ok := geo.ClientRTT(client, here)
		if !ok {
			continue
		}
		others := func(yield func(*Heartbeat) bool) {
			for k := range heard {
				if heard[k].Gateway != own && !yield(&heard[k]) {
					return
				}
			}
		}
		if best, saves := nearest(client, rtt, others); best != nil {
			list = append(list, MisroutedClients{
				Country: client.Country,
				Calls:   calls,
				Gateway: best.Gateway,
				Region:  best.Location.Region,
				Saves:   float64(saves) / float64(time.Millisecond),
			})
		}
	}
	slices.SortStableFunc(list, func(a, b MisroutedClients) int { return cmp.Compare(b.Calls, a.Calls) })
	return list
}

// nearest returns the gateway that is nearest to a client and by how much its
// round trip is shorter than the one from here; nil if no gateway is nearer by
// more than misroutedBy.
func nearest(client geo.Client, here time.Duration, others func(func(*Heartbeat) bool)) (best *Heartbeat, saves time.Duration) {
	saves = misroutedBy
	for h := range others {
		if rtt, ok := geo.ClientRTT(client, geo.TargetOf(h.Location.place())); ok && here-rtt > saves {
			best, saves = h, here-rtt
		}
	}
	return best, saves
}
