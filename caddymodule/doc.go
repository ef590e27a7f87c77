// Package caddymodule brings every Caddy module of the gateway into a binary,
// without the commands and the demo:
//
//	import _ "github.com/edgegate/edgegate/caddymodule"
//
// or with xcaddy: --with github.com/edgegate/edgegate/caddymodule.
//
// It has no code of its own. The app edge_functions and the HTTP handler of the
// same name are in package gateway.
package caddymodule
