package routing

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
)

// Contract 3.24, 5.14: a WebSocket runs where a backend speaks HTTP/1, and is 501 where
// none of those that may run it does, after the region's name was judged and
// before anything is taken.
func TestUpgradeUnsupported(t *testing.T) {
	const one, two = "http://127.0.0.1:1", "http://127.0.0.1:2"
	h2c := func(address string) string { return "h2c" + strings.TrimPrefix(address, "http") }
	f := newFixture()
	for name, tt := range map[string]struct {
		near, far []string // backends of eu-central-1 and us-east-1
		hint      string
		plain     bool // no WebSocket
		want      string
		status    int
	}{
		"h2c named":                     {[]string{h2c(one)}, []string{one}, "eu-central-1", false, "", 501},
		"h2c nearest":                   {[]string{h2c(one)}, []string{one}, "", false, "us-east-1", 0},
		"h2c farther":                   {[]string{one}, []string{h2c(one)}, "", false, "eu-central-1", 0},
		"h2c first of a list":           {[]string{h2c(one)}, []string{one}, "eu-central-1, us-east-1", false, "us-east-1", 0},
		"a list of h2c":                 {[]string{h2c(one)}, []string{h2c(one)}, "eu-central-1, us-east-1", false, "", 501},
		"h2c everywhere":                {[]string{h2c(one)}, []string{h2c(one), h2c(two)}, "", false, "", 501},
		"h2c beside HTTP/1":             {[]string{h2c(one), two}, []string{one}, "eu-central-1", false, "eu-central-1", 0},
		"https, which may offer HTTP/1": {[]string{"https://127.0.0.1:1"}, []string{h2c(one)}, "", false, "eu-central-1", 0},
		"no WebSocket":                  {[]string{h2c(one)}, []string{h2c(one)}, "", true, "eu-central-1 us-east-1", 0},
		"an unknown region comes first": {[]string{h2c(one)}, []string{h2c(one)}, "mars", false, "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			var list []regions.Region
			for region, addresses := range map[string][]string{"eu-central-1": tt.near, "us-east-1": tt.far} {
				r := regions.Region{Name: region}
				for _, address := range addresses {
					b, err := regions.ParseBackend(address)
					if err != nil {
						t.Fatal(err)
					}
					r.Backends = append(r.Backends, b)
				}
				list = append(list, r)
			}
			set, err := regions.NewSet(list)
			if err != nil {
				t.Fatal(err)
			}
			p := f.pipeline(t)
			p.network = regions.NewNetwork(regions.NetworkConfig{
				Set: set, States: &living{states: map[string]*regions.RegionState{}},
				Location: regions.Location{Place: frankfurt, Source: regions.LocationConfigured},
			})
			r := request("/functions/v1/open", "X-Region", tt.hint)
			if !tt.plain {
				r.Header.(http.Header).Set("Connection", "Upgrade")
				r.Header.(http.Header).Set("Upgrade", "websocket")
			}
			usage := &purse{wait: time.Hour} // restricted, which comes later
			if tt.status == 0 {
				usage.wait = 0
			}
			r.Usage = usage
			switch tt.status {
			case 0:
				if got := strings.Join(names(admit(t, p, r).Plan), " "); got != tt.want {
					t.Errorf("it may run in %q, want %q", got, tt.want)
				}
			case 400:
				refused(t, p, r, 400, CodeInvalidRegion)
			default:
				refused(t, p, r, 501, CodeUpgradeUnsupported)
				if usage.taken+usage.tokens != 0 {
					t.Errorf("%d units and %d tokens were taken", usage.taken, usage.tokens)
				}
			}
		})
	}
}

// Contract 1.8: a Trailer header whose names are none, or may not be trailers, is
// 400, whether it came with a body in chunks (Trailer of the request) or without.
func TestTrailers(t *testing.T) {
	p := newFixture().pipeline(t)
	for names, ok := range map[string]bool{
		"X-Checksum": true, "Server-Timing": true, "x-a, x-b": true, "x-a,": true, "": true,
		"a b": false, "a;b": false, "x-a, a\x00b": false, "ä": false, "a:b": false, "(a)": false,
		"Content-Length": false, "content-length": false, "Transfer-Encoding": false, "Trailer": false, "Host": false,
		"Authorization": false, "If-Match": false, "Content-Type": false, "Te": false, "x-a, Connection": false,
	} {
		announced := http.Header{}
		for name := range strings.SplitSeq(names, ",") {
			if name = strings.TrimSpace(name); name != "" {
				announced[http.CanonicalHeaderKey(name)] = nil
			}
		}
		inChunks, asHeader := request("/functions/v1/open"), request("/functions/v1/open", "Trailer", names)
		inChunks.Trailer = announced
		for _, r := range []*Request{inChunks, asHeader} {
			r.Method = http.MethodPost
			if ok {
				admit(t, p, r)
			} else {
				refused(t, p, r, 400, CodeInvalidRequest)
			}
		}
	}
	// Its place is that of the URL's 400: after 404, before 405.
	r := request("/functions/v1/nobody", "Trailer", "a b")
	r.Method = "TRACE"
	refused(t, p, r, 404, CodeNotFound)
	r.Target = "/functions/v1/open"
	refused(t, p, r, 400, CodeInvalidRequest)
	r.Header.(http.Header).Del("Trailer")
	refused(t, p, r, 405, CodeMethodNotAllowed)
}
