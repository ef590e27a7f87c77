// Package sockets keeps track of the WebSockets that pass through the gateway,
// and closes them where the process stops, a region is drained or a limit is
// reached.
//
// Writer takes the place of the http.ResponseWriter of a request that may become
// a WebSocket. When the proxy hijacks the connection, Writer registers it as a
// Socket, whose writes follow the frames that the backend sends, so that a Close
// frame can be put between two of them:
//
//	proxy.ServeHTTP(&sockets.Writer{
//		ResponseWriter: w,
//		Registry:       registry,
//		Region:         func() string { return "eu-central-1" },
//		Switched:       func(s *sockets.Socket) { ... },
//	}, r)
//
// A Registry is shared by all configurations of a process: WebSockets outlive
// the configuration that opened them.
//
// The package decides when and how a Close frame is sent, and how a WebSocket
// ended. Whether a request may become one, and where it runs, is decided by
// packages routing and regions.
package sockets
