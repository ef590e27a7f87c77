package geo

// CountryPlace returns where the clients of a country are taken to be: the
// middle of its measured cities, else its centroid. code is its ISO 3166-1
// alpha-2 code in upper case.
func CountryPlace(code string) (Coordinates, bool) {
	row, ok := clients.row(code)
	if !ok {
		return Coordinates{}, false
	}
	return clients.countries[row].place, true
}
