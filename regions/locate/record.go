package locate

import (
	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"

	"github.com/edgegate/edgegate/regions/geo"
)

// record has the fields of an entry that are read. MaxMind and DB-IP nest them;
// flat databases of DB-IP's and IPinfo's data have country_code, or a string under
// country, and coordinates as numbers or strings.
type record struct {
	Country     country `maxminddb:"country"`
	CountryCode country `maxminddb:"country_code"`
	Location    struct {
		Latitude  degrees `maxminddb:"latitude"`
		Longitude degrees `maxminddb:"longitude"`
	} `maxminddb:"location"`
	Latitude  degrees `maxminddb:"latitude"`
	Longitude degrees `maxminddb:"longitude"`
	Lat       degrees `maxminddb:"lat"`
	Lng       degrees `maxminddb:"lng"`
}

// client returns the client of a record; false if it has neither country nor
// coordinates.
func (r *record) client(source string) (geo.Client, bool) {
	client := geo.Client{Source: source}
	for _, c := range [...]country{r.Country, r.CountryCode} {
		if code, ok := parseCountry(string(c)); ok {
			client.Country = code
			break
		}
	}
	for _, pair := range [...][2]degrees{{r.Location.Latitude, r.Location.Longitude}, {r.Latitude, r.Longitude}, {r.Lat, r.Lng}} {
		c := geo.Coordinates{Latitude: pair[0].value, Longitude: pair[1].value}
		if pair[0].known && pair[1].known && c.Valid() == nil {
			client.Coordinates, client.HasCoordinates = c, true
			break
		}
	}
	return client, client.Country != "" || client.HasCoordinates
}

// maxText is the longest string that is read as a code or a number, in bytes.
const maxText = 128

// country is a code as such, or under iso_code in a map.
type country string

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (c *country) UnmarshalMaxMindDBCursor(cursor mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := cursor.Kind()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	switch kind {
	case mmdbdata.KindString:
		text, next, err := cursor.ReadStringMaxSize(maxText)
		*c = country(text)
		return next, err
	case mmdbdata.KindMap:
		return c.fromMap(cursor)
	default:
		return cursor.Skip()
	}
}

func (c *country) fromMap(cursor mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	entries, err := cursor.MapReader()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	next := entries.First()
	for range entries.Len() {
		key, value, err := next.ReadMapKey()
		if err != nil {
			return mmdbdata.Cursor{}, err
		}
		if kind, _ := value.Kind(); string(key) == "iso_code" && kind == mmdbdata.KindString {
			var text string
			text, next, err = value.ReadStringMaxSize(maxText)
			*c = country(text)
		} else {
			next, err = value.Skip()
		}
		if err != nil {
			return mmdbdata.Cursor{}, err
		}
	}
	return entries.End(next)
}

// degrees are a number, or one written as a string.
type degrees struct {
	value float64
	known bool
}

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (d *degrees) UnmarshalMaxMindDBCursor(cursor mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := cursor.Kind()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	switch kind {
	case mmdbdata.KindFloat64, mmdbdata.KindFloat32:
		value, next, err := cursor.ReadFloat()
		*d = degrees{value, err == nil}
		return next, err
	case mmdbdata.KindString:
		text, next, err := cursor.ReadStringMaxSize(maxText)
		d.value, d.known = parseDegrees(text)
		return next, err
	default:
		return cursor.Skip()
	}
}
