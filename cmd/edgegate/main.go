// Command edgegate is Caddy with the gateway's modules.
package main

import (
	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/edgegate/edgegate/caddymodule"
	"github.com/edgegate/edgegate/caddymodule/cli"
	_ "github.com/edgegate/edgegate/caddymodule/demo"
	"github.com/edgegate/edgegate/caddymodule/gateway"
)

func main() {
	caddy.CustomBinaryName = "edgegate"
	caddy.CustomVersion = gateway.Version()
	cli.Main()
}
