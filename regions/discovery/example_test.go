package discovery_test

import (
	"context"
	"fmt"
	"log"

	"github.com/edgegate/edgegate/regions/discovery"
)

// Each look-up of a name gives the addresses that it has at that time. An IP
// address is its own result; a name is looked up as the system is configured to.
func ExampleHostSource() {
	source := discovery.HostSource(discovery.Host{Name: "192.0.2.10", Port: 9000, Scheme: "http"})
	ctx, cancel := context.WithTimeout(context.Background(), discovery.LookupTimeout)
	defer cancel()
	endpoints, err := source.Lookup(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(source.Name)
	for _, e := range endpoints {
		fmt.Println(e.Address)
	}
	// Output:
	// a 192.0.2.10:9000
	// 192.0.2.10:9000
}

// The SRV records of a Consul service, asked from the agent on this machine.
func ExampleServiceSource() {
	source := discovery.ServiceSource(discovery.Service{
		Service:  "runtime",
		Proto:    "tcp",
		Name:     "service.consul",
		Scheme:   "http",
		Resolver: discovery.NewResolver([]string{"127.0.0.1:8600"}, 0, 0),
	})
	fmt.Println(source.Name)
	// Output: srv _runtime._tcp.service.consul
}

// A list of names, as another kind of source may have it.
func ExampleNames() {
	names := discovery.NewNames(nil, discovery.DefaultInterval)
	targets := []discovery.Target{{Name: "192.0.2.10"}, {Network: "ip6", Name: "2001:db8::1"}}
	found, _, err := names.Lookup(context.Background(), targets)
	if err != nil {
		log.Fatal(err)
	}
	for _, target := range targets {
		fmt.Println(target.Name, found[target])
	}
	// Output:
	// 192.0.2.10 [192.0.2.10]
	// 2001:db8::1 [2001:db8::1]
}
