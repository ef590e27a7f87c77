package geo

import "slices"

// KnownRegion is a region that needs no `coordinates` in a configuration.
type KnownRegion struct {
	// Name is the region's code, for example eu-central-1.
	Name string
	// City is the metropolitan area that AWS names for the region.
	City string
	// Country is the ISO 3166-1 alpha-2 code.
	Country string
	// Coordinates are those of the city, to two decimals: the operators of
	// the regions don't publish where the data centres are.
	Coordinates Coordinates
}

// knownRegions is sorted by name, which Known relies on.
var knownRegions = []KnownRegion{
	{"ap-east-1", "Hong Kong", "HK", Coordinates{22.32, 114.17}},
	{"ap-northeast-1", "Tokyo", "JP", Coordinates{35.68, 139.69}},
	{"ap-northeast-2", "Seoul", "KR", Coordinates{37.57, 126.98}},
	{"ap-south-1", "Mumbai", "IN", Coordinates{19.08, 72.88}},
	{"ap-southeast-1", "Singapore", "SG", Coordinates{1.35, 103.82}},
	{"ap-southeast-2", "Sydney", "AU", Coordinates{-33.87, 151.21}},
	{"ca-central-1", "Montreal", "CA", Coordinates{45.50, -73.57}},
	{"eu-central-1", "Frankfurt", "DE", Coordinates{50.11, 8.68}},
	{"eu-central-2", "Zurich", "CH", Coordinates{47.37, 8.54}},
	{"eu-north-1", "Stockholm", "SE", Coordinates{59.33, 18.07}},
	{"eu-west-1", "Dublin", "IE", Coordinates{53.35, -6.26}},
	{"eu-west-2", "London", "GB", Coordinates{51.51, -0.13}},
	{"eu-west-3", "Paris", "FR", Coordinates{48.86, 2.35}},
	{"sa-east-1", "Sao Paulo", "BR", Coordinates{-23.55, -46.63}},
	{"us-east-1", "Ashburn", "US", Coordinates{39.04, -77.49}},
	{"us-east-2", "Columbus", "US", Coordinates{39.96, -83.00}},
	{"us-west-1", "San Jose", "US", Coordinates{37.34, -121.89}},
	{"us-west-2", "Boardman", "US", Coordinates{45.84, -119.70}},
}

// Known returns the built-in facts about a region (contract 2.4): the 14
// regions of the Supabase SDKs and us-east-2, eu-north-1, eu-central-2 and
// ap-east-1. Names are case-sensitive. A region that is known here is not
// thereby configured.
func Known(name string) (KnownRegion, bool) {
	i, ok := slices.BinarySearchFunc(knownRegions, name, func(r KnownRegion, name string) int {
		switch {
		case r.Name < name:
			return -1
		case r.Name > name:
			return 1
		}
		return 0
	})
	if !ok {
		return KnownRegion{}, false
	}
	return knownRegions[i], true
}

// KnownNames returns the names of all built-in regions, sorted. The caller owns
// the slice.
func KnownNames() []string {
	names := make([]string, len(knownRegions))
	for i, r := range knownRegions {
		names[i] = r.Name
	}
	return names
}
