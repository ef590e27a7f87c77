package dynamic_test

import (
	"context"
	"fmt"
	"log"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/dynamic"
)

// An option of a Caddyfile becomes JSON, and that becomes a source of backends when the
// configuration is loaded.
func Example() {
	d := caddyfile.NewTestDispenser(`dynamic a 192.0.2.10 9000 {
		refresh 2s
	}`)
	d.Next()
	raw, err := dynamic.Parse(d)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(raw))

	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	sources, err := dynamic.Load(ctx, raw, "http")
	if err != nil {
		log.Fatal(err)
	}
	for _, source := range sources {
		endpoints, err := source.Lookup(ctx)
		fmt.Println(source.Name, source.Interval, endpoints[0].Address, err)
	}
	// Output:
	// {"name":"192.0.2.10","port":"9000","refresh":2000000000,"source":"a"}
	// a 192.0.2.10:9000 2s 192.0.2.10:9000 <nil>
}
