// Package handover keeps listening TCP sockets, and client connections that
// wait for their next request, open while one Caddy configuration replaces
// another.
//
// Keep, called while a server is provisioned, moves its TCP addresses to the
// network "edgegate", whose sockets outlive configurations. Begin, called first
// in a handler, says that a request must not go to another server any more:
//
//	handover.Keep(server)
//	...
//	func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
//		handover.Begin(r)
//		...
//	}
//
// OwnAddresses tells addresses of the process itself from others.
//
// The package decides which connections may change hands: HTTP/1 connections
// between two requests, or with a request that no handler has begun. TLS and
// HTTP/2 connections stay with their server until it has answered. It knows
// nothing of what requests ask for. WebSockets are package sockets' matter.
package handover
