// Command edgegate is Caddy with the gateway's modules.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/edgegate/edgegate/caddymodule"
	_ "github.com/edgegate/edgegate/caddymodule/cli"
	_ "github.com/edgegate/edgegate/caddymodule/demo"
)

func main() {
	caddy.CustomBinaryName = "edgegate"
	caddy.CustomVersion = caddymodule.Version()
	caddy.CustomLongDescription = "edgegate is a multi-region API gateway for serverless functions, built on Caddy."
	caddycmd.Main()
}
