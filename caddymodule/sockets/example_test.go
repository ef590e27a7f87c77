package sockets_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/edgegate/edgegate/caddymodule/sockets"
)

// A handler gives the proxy a Writer, so that the connections of WebSockets are registered.
func ExampleWriter() {
	registry := sockets.NewRegistry()
	closed := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writer := &sockets.Writer{
			ResponseWriter: w,
			Registry:       registry,
			Region:         func() string { return "eu-central-1" },
			Switched:       func(*sockets.Socket) {},
		}
		// httputil.ReverseProxy does this when a backend answers 101.
		conn, _, err := http.NewResponseController(writer).Hijack()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(registry.InRegion("eu-central-1"), "open")
		_ = conn.Close()
		fmt.Println(registry.Len(), "open")
		close(closed)
	}))
	defer server.Close()
	if res, err := http.Get(server.URL); err == nil {
		_ = res.Body.Close()
	}
	<-closed // the server does not wait for a connection that was taken from it
	// Output:
	// 1 open
	// 0 open
}
