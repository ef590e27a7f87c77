package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

// BenchmarkDecide decides among 14 regions of 4 backends.
func BenchmarkDecide(b *testing.B) {
	var list []regions.Region
	for i, name := range geo.KnownNames()[:14] {
		r := regions.Region{Name: name}
		for j := range 4 {
			backend, err := regions.ParseBackend(fmt.Sprintf("http://10.%d.0.%d", i, j+1))
			if err != nil {
				b.Fatal(err)
			}
			r.Backends = append(r.Backends, backend)
		}
		list = append(list, r)
	}
	set, err := regions.NewSet(list)
	if err != nil {
		b.Fatal(err)
	}
	view := func() *regions.View {
		v := &regions.View{Ranked: true}
		for i, r := range set.All() {
			rtt := time.Duration(10*(i+1)) * time.Millisecond
			load := new(capacity.Load)
			load.SetCapacity(1000)
			v.Regions = append(v.Regions, regions.RegionView{
				Region: r, State: regions.StateUp, Health: regions.StateUp, Healthy: 4, Backends: make([]regions.BackendView, 4),
				Distance: regions.Distance{RTT: rtt, Measured: true}, Known: true, Score: rtt, SlowStart: 1, Load: load,
			})
			v.Order = append(v.Order, i)
		}
		return v
	}
	full := view()
	for i := range 6 {
		full.Regions[i].Load.Add(900)
	}
	for _, tc := range []struct {
		name   string
		policy Policy
		view   *regions.View
		query  Query
	}{
		{"nearest", Policy{}, view(), Query{}},
		{"spill", Policy{}, full, Query{}},
		{"residency", Policy{}, view(), Query{Residency: []string{"eu-west-1", "us-east-1", "sa-east-1"}}},
		{"named", Policy{}, view(), Query{Hint: regions.Hint{Regions: []string{"sa-east-1"}}}},
		{"list", Policy{}, view(), Query{Hint: regions.Hint{Regions: []string{"sa-east-1", "eu-west-1"}, Any: true}}},
		{"near the client", Policy{Mode: NearClient}, view(), Query{Client: geo.Client{Country: "KE"}}},
		{"near the client's coordinates", Policy{Mode: NearClient}, view(), Query{Client: geo.Client{
			Country: "KE", Coordinates: geo.Coordinates{Latitude: -1.3, Longitude: 36.8}, HasCoordinates: true,
		}}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			p := New(tc.policy)
			into := make([]regions.Candidate, 0, 16)
			tc.query.ID = "01890000-0000-7000-8000-000000000001"
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Decide(tc.view, &tc.query, into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
