package geo

// Client is the place of a caller as far as it is known. The zero value is an
// unknown place.
type Client struct {
	// Country is the ISO 3166-1 alpha-2 code in upper case, "" if unknown.
	Country string
	// Coordinates hold only if HasCoordinates is true.
	Coordinates    Coordinates
	HasCoordinates bool
	// Source tells how it is known, for example header:CF-IPCountry.
	Source string
}

// CountryPlace returns the place that stands for all clients of a country: the
// middle of its measured cities, else its centroid. code is its ISO 3166-1 alpha-2
// code in upper case.
func CountryPlace(code string) (Coordinates, bool) {
	row, ok := clients.row(code)
	if !ok {
		return Coordinates{}, false
	}
	return clients.countries[row].place, true
}
