package locate

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/edgegate/edgegate/regions/geo"
)

func headers(pairs ...string) func(string) string {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h.Get
}

// maxMind is an entry as large as those of cities are.
func maxMind(code string, lat, lon float64) fields {
	names := fields{}
	for _, language := range []string{"de", "en", "es", "fr", "ja", "pt-BR", "ru", "zh-CN"} {
		names[language] = "a name in " + language
	}
	return fields{
		"city":      fields{"geoname_id": 184745, "names": names},
		"continent": fields{"code": "AF", "names": names},
		"country":   fields{"geoname_id": 192950, "is_in_european_union": 0, "iso_code": code, "names": names},
		"location":  fields{"accuracy_radius": 20, "latitude": lat, "longitude": lon, "time_zone": "Africa/Nairobi"},
	}
}

// open returns a Locator that asks all families and one database.
func open(t testing.TB, entries map[string]fields) *Locator {
	t.Helper()
	path := filepath.Join(t.TempDir(), "country.mmdb")
	writeMMDB(t, path, entries)
	l, err := New(Config{
		Headers: []string{"CF-IPCountry", "cloudfront-viewer-country", "X-Vercel-IP-Country", "x-our-country"},
		MMDB:    []string{path},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLocate(t *testing.T) {
	l := open(t, map[string]fields{
		"41.0.0.0/16":    maxMind("KE", -1.25, 36.75),
		"2a02::/20":      {"country": fields{"iso_code": "DE"}},
		"2.16.0.0/16":    {"country_code": "FR", "latitude": float32(48.5), "longitude": float32(2.25)},
		"3.0.0.0/8":      {"country": "us", "lat": "37.5", "lng": "-122.25"},
		"5.0.0.0/8":      {"country": fields{"iso_code": 7}, "location": "here", "latitude": 3},
		"6.0.0.0/8":      {"country": fields{"iso_code": "XX"}, "location": fields{"latitude": 91.0, "longitude": 0.0}},
		"10.0.0.0/8":     {"country": "SE"},
		"100.64.0.0/10":  {"country": "SE"},
		"127.0.0.0/8":    {"country": "SE"},
		"169.254.0.0/16": {"country": "SE"},
		"fd00::/8":       {"country": "SE"},
	})
	at := func(country, source string, place ...float64) geo.Client {
		c := geo.Client{Country: country, Source: source}
		if len(place) == 2 {
			c.Coordinates, c.HasCoordinates = geo.Coordinates{Latitude: place[0], Longitude: place[1]}, true
		}
		return c
	}
	nowhere := at("", "unknown")
	none := headers()
	for _, tc := range []struct {
		name    string
		header  func(string) string
		trusted bool
		ip      string
		want    geo.Client
	}{
		{"Cloudflare's country", headers("CF-IPCountry", "KE"), true, "1.1.1.1", at("KE", "header:CF-IPCountry")},
		{"with coordinates", headers("CF-IPCountry", "KE", "CF-IPLatitude", "-1.29", "CF-IPLongitude", "36.82"), true, "1.1.1.1", at("KE", "header:CF-IPCountry", -1.29, 36.82)},
		{"CloudFront's", headers("CloudFront-Viewer-Country", "BR", "CloudFront-Viewer-Latitude", "-23.5", "CloudFront-Viewer-Longitude", "-46.6"), true, "1.1.1.1", at("BR", "header:CloudFront-Viewer-Country", -23.5, -46.6)},
		{"Vercel's", headers("X-Vercel-IP-Country", "JP", "X-Vercel-IP-Latitude", "35.7", "X-Vercel-IP-Longitude", "139.7"), true, "1.1.1.1", at("JP", "header:X-Vercel-IP-Country", 35.7, 139.7)},
		{"one of our own", headers("X-Our-Country", "in"), true, "1.1.1.1", at("IN", "header:x-our-country")},
		{"one that nobody configured", headers("X-Country", "IN"), true, "1.1.1.1", nowhere},
		{"the first in configuration order", headers("X-Vercel-IP-Country", "JP", "CF-IPCountry", "KE"), true, "1.1.1.1", at("KE", "header:CF-IPCountry")},
		{"the next where one does not know", headers("X-Vercel-IP-Country", "JP", "CF-IPCountry", "XX"), true, "1.1.1.1", at("JP", "header:X-Vercel-IP-Country")},
		{"a header before the database", headers("CF-IPCountry", "JP"), true, "41.0.1.2", at("JP", "header:CF-IPCountry")},
		{"from a stranger", headers("CF-IPCountry", "JP"), false, "41.0.1.2", at("KE", "mmdb:country.mmdb", -1.25, 36.75)},
		{"Tor", headers("CF-IPCountry", "T1"), true, "41.0.1.2", at("KE", "mmdb:country.mmdb", -1.25, 36.75)},
		{"half the coordinates", headers("CF-IPCountry", "KE", "CF-IPLatitude", "-1.29"), true, "1.1.1.1", at("KE", "header:CF-IPCountry")},
		{"coordinates off the earth", headers("CF-IPCountry", "KE", "CF-IPLatitude", "NaN", "CF-IPLongitude", "1"), true, "1.1.1.1", at("KE", "header:CF-IPCountry")},
		{"coordinates without a country", headers("CF-IPLatitude", "1", "CF-IPLongitude", "1"), true, "1.1.1.1", nowhere},
		{"a country of IPv6", none, false, "2a02::1", at("DE", "mmdb:country.mmdb")},
		{"IPv4 in IPv6", none, false, "::ffff:41.0.1.2", at("KE", "mmdb:country.mmdb", -1.25, 36.75)},
		{"flat, with floats", none, false, "2.16.1.1", at("FR", "mmdb:country.mmdb", 48.5, 2.25)},
		{"flat, with strings", none, false, "3.1.1.1", at("US", "mmdb:country.mmdb", 37.5, -122.25)},
		{"an entry of other kinds", none, false, "5.1.1.1", nowhere},
		{"an entry that knows nothing", none, false, "6.1.1.1", nowhere},
		{"an address that is in none", none, false, "8.8.8.8", nowhere},
		{"a private address", none, false, "10.1.2.3", nowhere},
		{"a carrier's inner address", none, false, "100.64.0.1", nowhere},
		{"loopback", none, false, "127.0.0.1", nowhere},
		{"link-local", none, false, "169.254.1.1", nowhere},
		{"link-local with a zone", none, false, "fe80::1%eth0", nowhere},
		{"a unique local address", none, false, "fd00::1", nowhere},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := l.Locate(tc.header, tc.trusted, netip.MustParseAddr(tc.ip)); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
	t.Run("no address", func(t *testing.T) {
		if got := l.Locate(none, false, netip.Addr{}); got != nowhere {
			t.Errorf("got %+v, want %+v", got, nowhere)
		}
	})
	t.Run("nothing configured", func(t *testing.T) {
		l, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Locate(headers("CF-IPCountry", "KE"), true, netip.MustParseAddr("41.0.1.2")); got != nowhere {
			t.Errorf("got %+v, want %+v", got, nowhere)
		}
	})
}

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    Config
		want string
	}{
		{"no header name", Config{Headers: []string{""}}, `header "": no header has such a name`},
		{"a header with a space", Config{Headers: []string{"X Country"}}, `header "X Country": no header has such a name`},
		{"a header twice", Config{Headers: []string{"cf-ipcountry", "CF-IPCountry"}}, `header "CF-IPCountry": it is listed twice`},
		{"no path", Config{MMDB: []string{""}}, "mmdb: the path is missing"},
		{"a path twice", Config{MMDB: []string{"/a", "/a"}}, `mmdb "/a": it is listed twice`},
		{"all at once", Config{Headers: []string{""}, MMDB: []string{""}}, "header \"\": no header has such a name\nmmdb: the path is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := New(tc.c); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestOpenAndCheckTellWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	missing, broken := filepath.Join(dir, "none.mmdb"), filepath.Join(dir, "broken.mmdb")
	writeFile(t, broken, []byte("no database"))
	l, err := New(Config{MMDB: []string{missing, broken}})
	if err != nil {
		t.Fatal(err)
	}
	if problems := l.Check(); len(problems) != 2 || !strings.Contains(problems[0].Error(), missing) || !strings.Contains(problems[1].Error(), broken) {
		t.Errorf("Check: %v, want one about each file", problems)
	}
	for _, status := range l.Status() {
		if status.Err != nil {
			t.Errorf("Check changed the state of %s: %v", status.Path, status.Err)
		}
	}
	if err := l.Open(); err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), broken) {
		t.Errorf("Open: %v, want both files", err)
	}
}

func FuzzHeaders(f *testing.F) {
	for _, seed := range [][3]string{{"KE", "-1.29", "36.82"}, {"XX", "", ""}, {"T1", "NaN", "Inf"}, {" de ", "1e400", "0x1p-2"}, {"\xff\xfe", "90.1", "-180"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	l, err := New(Config{Headers: []string{"CF-IPCountry"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, country, latitude, longitude string) {
		values := map[string]string{"Cf-Ipcountry": country, "Cf-Iplatitude": latitude, "Cf-Iplongitude": longitude}
		c := l.Locate(func(name string) string { return values[name] }, true, netip.Addr{})
		if c.Country == "" {
			if c != (geo.Client{Source: unknown}) {
				t.Fatalf("no country, but %+v", c)
			}
			return
		}
		if len(c.Country) != 2 || c.Country != strings.ToUpper(c.Country) || !letter(c.Country[0]) || !letter(c.Country[1]) {
			t.Fatalf("country %q", c.Country)
		}
		if c.HasCoordinates && c.Coordinates.Valid() != nil {
			t.Fatalf("coordinates %+v", c.Coordinates)
		}
	})
}

// FuzzRecord decodes entries of databases that are not what they should be.
func FuzzRecord(f *testing.F) {
	good := encodeMMDB(map[string]fields{"0.0.0.0/0": maxMind("KE", -1.25, 36.75)})
	f.Add(good)
	f.Add(encodeMMDB(map[string]fields{"0.0.0.0/0": {"country": "us", "lat": "37.5", "lng": "-122.25"}}))
	f.Add(good[:len(good)-7])
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDatabase("fuzz.mmdb")
		reader, err := maxminddb.OpenBytes(data)
		if err != nil {
			return
		}
		d.reader.Store(reader)
		for _, ip := range []string{"41.0.1.2", "2a02::1"} {
			c, ok := d.client(netip.MustParseAddr(ip))
			if ok && c.HasCoordinates && c.Coordinates.Valid() != nil {
				t.Fatalf("coordinates %+v", c.Coordinates)
			}
		}
	})
}

func BenchmarkLocate(b *testing.B) {
	l := open(b, map[string]fields{"41.0.0.0/16": maxMind("KE", -1.25, 36.75)})
	ip := netip.MustParseAddr("41.0.1.2")
	b.Run("header", func(b *testing.B) {
		header := headers("CF-IPCountry", "KE", "CF-IPLatitude", "-1.29", "CF-IPLongitude", "36.82")
		b.ReportAllocs()
		for b.Loop() {
			l.Locate(header, true, ip)
		}
	})
	b.Run("database", func(b *testing.B) {
		none := headers()
		b.ReportAllocs()
		for b.Loop() {
			l.Locate(none, true, ip)
		}
	})
}
