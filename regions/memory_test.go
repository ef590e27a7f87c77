package regions

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

// A reload makes all sources anew. What cannot be looked up keeps its last addresses.
func TestSourceMemorySurvivesReload(t *testing.T) {
	s := dnstest.Start(t)
	const name, service = "runtime.example.test.", "_http._tcp.runtime.example.test."
	s.SetHost(name, "127.0.0.1", "::1")
	s.SetHost("a."+name, "127.0.1.1")
	s.SetHost("b."+name, "127.0.2.1")
	s.SetService(service, dnstest.SRV{Target: "a." + name, Port: 80}, dnstest.SRV{Target: "b." + name, Port: 80})
	resolver := discovery.NewResolver([]string{s.Address}, 0, 0)
	state := newState(t)
	listed := func() (keys []string) {
		t.Helper()
		r := region(t, first)
		host := discovery.HostSource(discovery.Host{Name: name, Port: 80, Scheme: "http", Resolver: resolver})
		targets := discovery.ServiceSource(discovery.Service{Name: service, Scheme: "http", Resolver: resolver})
		r.Sources = []discovery.Source{host, targets}
		set, err := NewSet([]Region{r})
		if err != nil {
			t.Fatal(err)
		}
		network := NewNetwork(NetworkConfig{Set: set, States: state})
		lists := &state.Region(first).lists
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		start := time.Now()
		go func() { defer close(done); network.Run(ctx) }()
		current := func() bool {
			return !slices.ContainsFunc(lists.views(r.Sources), func(v SourceView) bool { return !v.ListedAt.After(start) })
		}
		for !current() && t.Context().Err() == nil && time.Since(start) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		<-done
		if !current() {
			t.Fatal("the sources were not looked up")
		}
		for _, list := range lists.get(r.Sources).of {
			for _, d := range list {
				keys = append(keys, d.backend.DialAddress)
			}
		}
		slices.Sort(keys)
		return keys
	}
	want := []string{"127.0.0.1:80", "127.0.1.1:80", "127.0.2.1:80", "[::1]:80"}
	if got := listed(); !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	s.SetMode(name, dnstest.ServFail, "AAAA")
	s.SetMode("a."+name, dnstest.ServFail)
	for range 2 {
		if got := listed(); !slices.Equal(got, want) {
			t.Errorf("after a reload %v, want %v", got, want)
		}
	}
}
