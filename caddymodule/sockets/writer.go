package sockets

import (
	"bufio"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Writer is an http.ResponseWriter whose Hijack hands out the client's
// connection as a Socket.
type Writer struct {
	http.ResponseWriter

	// Registry gets the socket.
	Registry *Registry

	// Region returns the name of the region in which the function runs. It is
	// called by Hijack, when that is decided.
	Region func() string

	// Backend returns the backend on which it runs, likewise. Optional.
	Backend func() string

	// Switched is called by Hijack with the socket, before anything is written.
	Switched func(*Socket)
}

// Unwrap lets http.ResponseController find the server's writer.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// The server's idle deadlines end with the request.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	s := &Socket{
		Conn:     conn,
		early:    buffered.Reader,
		registry: w.Registry,
		region:   w.Region(),
		drainAt:  rand.Float64(), // #nosec G404 -- spreads the closing, guards nothing
	}
	if w.Backend != nil {
		s.backend = w.Backend()
	}
	w.Registry.add(s)
	w.Switched(s)
	return s, buffered, nil
}
