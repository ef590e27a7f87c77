package simulation

// Populations returns how many people live in each country, by its ISO 3166-1
// alpha-2 code in upper case. Territories that the World Bank doesn't count,
// as Taiwan and Kosovo, are missing. The caller owns the map.
func Populations() map[string]int64 {
	people := make(map[string]int64, len(populations))
	for _, p := range populations {
		people[p.country] = p.people
	}
	return people
}
