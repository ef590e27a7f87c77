package locate

import (
	"net/textproto"
	"strconv"
	"strings"

	"github.com/edgegate/edgegate/regions/geo"
)

// family is a header with a country, and the headers with coordinates that the
// same network sets.
type family struct {
	country             string
	latitude, longitude string // empty: none
	source              string
}

// families are the headers of networks that set coordinates too.
var families = []family{
	{country: "CF-IPCountry", latitude: "CF-IPLatitude", longitude: "CF-IPLongitude"},
	{country: "CloudFront-Viewer-Country", latitude: "CloudFront-Viewer-Latitude", longitude: "CloudFront-Viewer-Longitude"},
	{country: "X-Vercel-IP-Country", latitude: "X-Vercel-IP-Latitude", longitude: "X-Vercel-IP-Longitude"},
}

// familyOf returns the family of a header's name. Source has the network's own
// spelling, the other names are in net/http's canonical form.
func familyOf(name string) family {
	f := family{country: name}
	for _, known := range families {
		if strings.EqualFold(known.country, name) {
			f = known
		}
	}
	f.source = "header:" + f.country
	for _, header := range []*string{&f.country, &f.latitude, &f.longitude} {
		*header = textproto.CanonicalMIMEHeaderKey(*header)
	}
	return f
}

// client returns the client by its headers. Without a valid country it is false:
// networks set XX or T1 for unknown places, and their coordinates are no better
// then.
func (f *family) client(header func(name string) string) (geo.Client, bool) {
	country, ok := parseCountry(header(f.country))
	if !ok {
		return geo.Client{}, false
	}
	client := geo.Client{Country: country, Source: f.source}
	if f.latitude != "" {
		client.Coordinates, client.HasCoordinates = parseCoordinates(header(f.latitude), header(f.longitude))
	}
	return client, true
}

// parseCountry returns an ISO 3166-1 alpha-2 code in upper case. Codes of
// the user-assigned range that networks use for "unknown" and Tor are refused; XK
// (Kosovo) is accepted.
func parseCountry(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) != 2 || !letter(s[0]) || !letter(s[1]) {
		return "", false
	}
	code := strings.ToUpper(s)
	switch code {
	case "XX", "ZZ", "AP", "EU": // the last two are in old databases, for a whole continent
		return "", false
	}
	return code, true
}

func letter(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }

// maxDegrees is the longest text that is parsed as degrees.
const maxDegrees = 32

func parseCoordinates(latitude, longitude string) (geo.Coordinates, bool) {
	lat, okLat := parseDegrees(latitude)
	lon, okLon := parseDegrees(longitude)
	c := geo.Coordinates{Latitude: lat, Longitude: lon}
	if !okLat || !okLon || c.Valid() != nil {
		return geo.Coordinates{}, false
	}
	return c, true
}

func parseDegrees(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxDegrees {
		return 0, false
	}
	degrees, err := strconv.ParseFloat(s, 64)
	return degrees, err == nil
}
