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
