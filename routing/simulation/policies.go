package simulation

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/text/language"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/plan"
)

// Policy is a way to choose regions.
type Policy string

// The policies: this gateway's, and those that it is compared with. They differ
// in the order of regions only; all have the gateway's health checks, breakers
// and retries, but the oracle, which knows what works without them.
const (
	PolicyEdgegate    Policy = "edgegate"
	PolicyGreatCircle Policy = "great circle" // nearest to the client by kilometres
	PolicyCentroid    Policy = "centroid"     // nearest to the middle of the client's country
	PolicyContinent   Policy = "continent"    // a region for each continent
	PolicyRandom      Policy = "random"
	PolicySingle      Policy = "single" // us-east-1, the others in case of need
	PolicyOracle      Policy = "oracle" // the lowest round trip of those regions that work
)

// Policies are all of them, in the order in which they are shown.
var Policies = []Policy{PolicyEdgegate, PolicyGreatCircle, PolicyCentroid, PolicyContinent, PolicyRandom, PolicySingle, PolicyOracle}

// continents are the regions that serve them, by UN M.49 code.
var continents = []struct{ code, region string }{
	{"150", "eu-central-1"}, {"002", "eu-west-3"}, {"142", "ap-southeast-1"}, {"005", "sa-east-1"}, {"019", "us-east-1"}, {"009", "ap-southeast-2"},
}

// decide plans a call by the policy.
func (w *world) decide(g *gateway, c *call) regions.Plan {
	q := plan.Query{Client: w.clients[c.client].place, ID: c.id()}
	if c.named >= 0 {
		q.Hint = regions.Hint{Regions: []string{w.set.All()[c.named].Name}}
	}
	if w.policy == PolicyEdgegate || c.named >= 0 {
		decided, err := w.planner.Decide(g.current, &q, nil)
		if err != nil { // a named region that is absent
			return regions.Plan{Unavailable: true, Strict: true, Candidates: []regions.Candidate{{Region: w.set.All()[c.named]}}}
		}
		return decided
	}
	var p regions.Plan
	for _, r := range w.preference(g, c) {
		region := w.set.All()[r]
		i, there := g.current.Lookup(region.Name)
		switch {
		case w.policy == PolicyOracle:
			if _, works := w.best(w.now, r); !works || w.drained(w.now, r) {
				continue
			}
		case !there || !g.current.Regions[i].Usable():
			continue
		}
		p.Candidates = append(p.Candidates, regions.Candidate{Region: region, Reason: regions.ReasonNearest})
	}
	if len(p.Candidates) == 0 {
		p = regions.Plan{Unavailable: true, Candidates: []regions.Candidate{{Region: w.set.All()[0]}}}
	}
	return p
}

// preference returns the indexes of the regions in a policy's order.
func (w *world) preference(g *gateway, c *call) []int {
	from := &w.clients[c.client]
	cost := make([]float64, len(w.set.All()))
	for r, region := range w.set.All() {
		switch w.policy {
		case PolicyGreatCircle:
			cost[r] = from.at.DistanceKm(region.Coordinates)
		case PolicyCentroid:
			cost[r] = from.country.DistanceKm(region.Coordinates)
		case PolicyContinent:
			if region.Name == continentRegion(from.place.Country) {
				cost[r] = -1
			}
		case PolicyRandom:
			cost[r] = w.random.Float64()
		case PolicySingle:
			if region.Name == "us-east-1" {
				cost[r] = -1
			}
		case PolicyOracle:
			cost[r] = float64(w.truth(g, c, r))
		case PolicyEdgegate:
		}
	}
	order := make([]int, len(cost))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(cost[a], cost[b]) })
	return order
}

func continentRegion(country string) string {
	region, err := language.ParseRegion(country)
	if err != nil {
		return ""
	}
	for _, c := range continents {
		if language.MustParseRegion(c.code).Contains(region) {
			return c.region
		}
	}
	return ""
}

// truth is the round trip that counts: from the gateway or from the client, as
// `nearest` says, while the region is as it is now.
func (w *world) truth(g *gateway, c *call, r int) time.Duration {
	slow, ok := w.best(w.now, r)
	if !ok {
		slow = 1
	}
	if w.scenario.Nearest == plan.NearClient {
		return time.Duration(float64(w.clients[c.client].toRegion[r]) * slow)
	}
	return time.Duration(float64(g.base[r]) * slow)
}

// oracle returns the lowest round trip that counts of the regions that work.
func (w *world) oracle(g *gateway, c *call) (best time.Duration, ok bool) {
	for r := range w.set.All() {
		if _, works := w.best(w.now, r); !works || w.drained(w.now, r) {
			continue
		}
		if rtt := w.truth(g, c, r); !ok || rtt < best {
			best, ok = rtt, true
		}
	}
	return best, ok
}
