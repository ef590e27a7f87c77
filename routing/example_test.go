package routing_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

// states keeps what is known of backends and regions.
type states struct {
	upstreams map[string]*regions.Upstream
	regions   map[string]*regions.RegionState
	ranker    *regions.Ranker
}

func (s states) Upstream(region string, b regions.Backend) *regions.Upstream {
	key := region + " " + b.Key()
	if s.upstreams[key] == nil {
		s.upstreams[key] = regions.NewUpstream(b)
	}
	return s.upstreams[key]
}

func (states) Release(string, regions.Backend) {}

func (s states) Region(name string) *regions.RegionState {
	if s.regions[name] == nil {
		s.regions[name] = new(regions.RegionState)
	}
	return s.regions[name]
}

func (s states) Ranker() *regions.Ranker { return s.ranker }

func Example() {
	backend, err := regions.ParseBackend("http://10.0.0.1:9000")
	if err != nil {
		panic(err)
	}
	set, err := regions.NewSet([]regions.Region{{Name: "eu-central-1", Backends: []regions.Backend{backend}}})
	if err != nil {
		panic(err)
	}
	network := regions.NewNetwork(regions.NetworkConfig{
		Set:    set,
		States: states{make(map[string]*regions.Upstream), make(map[string]*regions.RegionState), new(regions.Ranker)},
	})
	builder, err := projects.NewBuilder(projects.BuilderConfig{})
	if err != nil {
		panic(err)
	}
	open := false
	project, _, err := builder.Project(projects.ProjectConfig{Functions: []projects.FunctionConfig{{Slug: "hello", VerifyJWT: &open}}})
	if err != nil {
		panic(err)
	}
	single, err := projects.NewSingle(project, "")
	if err != nil {
		panic(err)
	}

	pipeline := routing.NewPipeline(single, network, routing.Settings{})
	for _, target := range []string{"/functions/v1/hello/world?x=1", "/functions/v1/nobody"} {
		var invocation routing.Invocation
		request := &routing.Request{Method: http.MethodPost, Host: "example.org", Target: target, Header: make(http.Header), Start: time.Now()}
		if refusal := pipeline.Admit(request, routing.Site{}, &invocation); refusal != nil {
			fmt.Println(refusal.Status, refusal.Code)
			continue
		}
		fmt.Println(invocation.Target, "in", invocation.Plan.First().Name)
	}
	// Output:
	// /hello/world?x=1 in eu-central-1
	// 404 NOT_FOUND
}
