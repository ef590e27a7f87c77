package geo

// Client is where a caller is, as far as that is known. The zero value is
// nowhere.
type Client struct {
	// Country is the ISO 3166-1 alpha-2 code in upper case, "" if unknown.
	Country string
	// Coordinates hold only if HasCoordinates is true.
	Coordinates    Coordinates
	HasCoordinates bool
	// Source says how it is known, for example header:CF-IPCountry.
	Source string
}

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
