package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// BuiltInCities returns a city for each country that round trips were learnt
// of, in its middle, with what was learnt: the truth where nothing else is
// measured.
func BuiltInCities() ([]City, error) {
	list := make([]regions.Region, 0, len(tableRegions))
	for _, name := range tableRegions {
		list = append(list, regions.Region{Name: name, Backends: make([]regions.Backend, 1)})
	}
	cities := make([]City, 0, len(populations))
	for _, p := range populations {
		at, ok := geo.CountryPlace(p.country)
		if !ok {
			continue
		}
		city := City{
			Name:        p.country,
			Country:     p.country,
			Coordinates: at,
			RTT:         make(map[string]time.Duration, len(list)),
		}
		for i := range list {
			known, _ := geo.Known(list[i].Name)
			list[i].Coordinates, list[i].HasCoordinates = known.Coordinates, true
			rtt, ok := geo.ClientRTT(geo.Client{Country: p.country}, list[i].Target())
			if !ok {
				return nil, fmt.Errorf("no round trip is known from %s to %s", p.country, list[i].Name)
			}
			city.RTT[list[i].Name] = rtt
		}
		cities = append(cities, city)
	}
	return cities, nil
}

// client is a city with what a run needs of it.
type client struct {
	place    geo.Client // what gateways know of it
	at       geo.Coordinates
	country  geo.Coordinates // its country's place
	toRegion []time.Duration // by the region's index
	gateways []int           // nearest first
	sum      float64         // of the weights up to this one
}

// newClients weighs cities by the people of their countries, shared evenly by
// the cities of one.
func (w *world) newClients(cities []City) error {
	people, inCountry := Populations(), make(map[string]int)
	for i := range cities {
		inCountry[cities[i].Country]++
	}
	sum := 0.0
	for i := range cities {
		city := &cities[i]
		weight := float64(people[city.Country]) / float64(inCountry[city.Country])
		if weight == 0 {
			continue
		}
		sum += weight
		c := client{
			place:   city.Client(),
			at:      city.Coordinates,
			country: city.Coordinates,
			sum:     sum,
		}
		if w.scenario.Locate == LocateCountry {
			c.place = geo.Client{Country: city.Country, Source: "city"}
		}
		if at, ok := geo.CountryPlace(city.Country); ok {
			c.country = at
		}
		for _, r := range w.set.All() {
			rtt, ok := city.RTT[r.Name]
			if !ok {
				return fmt.Errorf("the cities have no round trips to region %s; there are %s", r.Name, strings.Join(sortedNames(city.RTT), ", "))
			}
			c.toRegion = append(c.toRegion, rtt)
		}
		distance := make([]time.Duration, len(w.gateways))
		for g := range w.gateways {
			place := w.gateways[g].place
			rtt, ok := city.RTT[place.Region]
			if !ok {
				rtt, _ = geo.Prior(geo.Place{Coordinates: city.Coordinates, Known: true}, place)
			}
			distance[g] = rtt
			c.gateways = append(c.gateways, g)
		}
		slices.SortStableFunc(c.gateways, func(a, b int) int { return cmp.Compare(distance[a], distance[b]) })
		w.clients = append(w.clients, c)
	}
	if len(w.clients) == 0 {
		return fmt.Errorf("none of the cities is in a country whose population is known")
	}
	return nil
}

func sortedNames(m map[string]time.Duration) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
