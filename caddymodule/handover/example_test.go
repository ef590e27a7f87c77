package handover_test

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/caddymodule/handover"
)

// A module keeps the TCP sockets of the server that it is provisioned for. Other networks stay as they are.
func ExampleKeep() {
	server := &caddyhttp.Server{Listen: []string{":80", "unix//run/edgegate.sock"}}
	handover.Keep(server)
	fmt.Println(server.Listen)
	// Output: [edgegate/:80 unix//run/edgegate.sock]
}
