package regions_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// states keeps the state of backends and regions for one Network.
type states struct {
	upstreams map[string]*regions.Upstream
	regions   map[string]*regions.RegionState
	ranker    regions.Ranker
}

func (s *states) Upstream(region string, b regions.Backend) *regions.Upstream {
	key := region + " " + b.Key()
	if s.upstreams[key] == nil {
		s.upstreams[key] = regions.NewUpstream(b)
	}
	return s.upstreams[key]
}

func (*states) Release(string, regions.Backend) {}

func (s *states) Region(name string) *regions.RegionState {
	if s.regions[name] == nil {
		s.regions[name] = new(regions.RegionState)
	}
	return s.regions[name]
}

func (s *states) Ranker() *regions.Ranker { return &s.ranker }

// One invocation: a plan with one region, sent to its backend.
func Example() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s in %s", r.URL, r.Header.Get(regions.HeaderRegion))
	}))
	defer backend.Close()

	address, err := regions.ParseBackend(backend.URL)
	if err != nil {
		panic(err)
	}
	set, err := regions.NewSet([]regions.Region{{Name: "eu-central-1", Backends: []regions.Backend{address}}})
	if err != nil {
		panic(err)
	}
	network := regions.NewNetwork(regions.NetworkConfig{Set: set, States: &states{
		upstreams: make(map[string]*regions.Upstream),
		regions:   make(map[string]*regions.RegionState),
	}})
	transport := &regions.Transport{Network: network}

	frankfurt, _ := set.Lookup("eu-central-1")
	plan := regions.Plan{Candidates: []regions.Candidate{{Region: frankfurt, Reason: regions.ReasonNearest}}}
	exchange, ctx := regions.Begin(context.Background(), plan, regions.Limits{})
	defer exchange.End()
	request := (&http.Request{Method: http.MethodGet, URL: &url.URL{Opaque: "/hello"}, Header: make(http.Header)}).WithContext(ctx)
	answer, err := transport.RoundTrip(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(string(body))
	fmt.Println(exchange.Region.Name, exchange.Reason, exchange.Attempts)
	// Output:
	// /hello in eu-central-1
	// eu-central-1 nearest 1
}

// The regions in the order in which a gateway in Frankfurt would prefer them
// before anything is measured.
func ExampleSet_Order() {
	address, err := regions.ParseBackend("http://10.0.0.1:9000")
	if err != nil {
		panic(err)
	}
	backends := []regions.Backend{address}
	set, err := regions.NewSet([]regions.Region{
		{Name: "us-east-1", Backends: backends},
		{Name: "eu-west-1", Backends: backends},
	})
	if err != nil {
		panic(err)
	}
	order, _ := set.Order(geo.Place{Region: "eu-central-1"})
	for _, r := range order {
		fmt.Println(r.Region.Name, r.Prior)
	}
	// Output:
	// eu-west-1 26.13ms
	// us-east-1 90.98ms
}
