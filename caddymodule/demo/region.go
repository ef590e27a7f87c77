package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Outages are limited so that a forgotten one ends by itself.
const (
	defaultOutage = 30 * time.Second
	longestOutage = 10 * time.Minute
)

// region is one simulated region: an HTTP server on a loopback port whose connections are a round trip away.
type region struct {
	name    string
	delay   time.Duration
	handler http.Handler
	addr    string // set by start, the same after an outage

	mu      sync.Mutex // guards what follows
	server  *http.Server
	ln      *latencyListener
	served  chan struct{} // closed when the server's accept loop has ended
	back    *time.Timer   // ends the outage under way
	stopped bool
	outages sync.WaitGroup
}

// start listens on a free loopback port and serves.
func (r *region) start() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addr = ln.Addr().String()
	r.serve(ln)
	return nil
}

// serve starts a server on ln; the caller holds mu.
func (r *region) serve(ln net.Listener) {
	r.ln = &latencyListener{Listener: ln, delay: r.delay}
	r.server = &http.Server{
		Handler:           r,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // a function's panic is its answer, not the demo's output
	}
	r.served = make(chan struct{})
	server, listener, served := r.server, r.ln, r.served
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
}

// takeDown closes the listener and every connection; the caller holds mu.
func (r *region) takeDown() {
	if r.server == nil {
		return
	}
	_ = r.ln.Close()
	<-r.served // no connection is accepted unseen after this
	_ = r.server.Close()
	r.ln.closeAll()
	r.server = nil
}

// stop ends the region for good and returns when its connections are closed.
func (r *region) stop() {
	r.mu.Lock()
	r.stopped = true
	if r.back != nil && r.back.Stop() {
		r.outages.Done()
	}
	r.takeDown()
	r.mu.Unlock()
	r.outages.Wait()
}

// outage makes the region refuse connections for d, as a place that is off the net does. A second one while one lasts is ignored.
func (r *region) outage(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.server == nil {
		return
	}
	r.takeDown()
	r.outages.Add(1)
	r.back = time.AfterFunc(d, func() {
		defer r.outages.Done()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.stopped {
			return
		}
		if ln, err := net.Listen("tcp", r.addr); err == nil {
			r.serve(ln)
		}
	})
}

// ServeHTTP answers the region's own paths and hands the rest to the runtime. `/_internal` is reachable only by who can reach the
// region itself, never through the gateway (contract 1.6).
func (r *region) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("X-Served-By", "demo-runtime")
	switch req.URL.Path {
	case "/_internal/health":
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "region": r.name})
	case "/_internal/outage":
		r.serveOutage(w, req)
	default:
		r.handler.ServeHTTP(w, req)
	}
}

func (r *region) serveOutage(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"message": "POST starts an outage"})
		return
	}
	d := defaultOutage
	if s := req.URL.Query().Get("for"); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil || d <= 0 || d > longestOutage {
			writeJSON(w, http.StatusBadRequest, map[string]string{"message": "for is a duration up to 10m, e.g. for=30s"})
			return
		}
	}
	w.Header().Set("Connection", "close")
	writeJSON(w, http.StatusOK, map[string]string{"message": fmt.Sprintf("%s refuses connections for %s", r.name, d)})
	_ = http.NewResponseController(w).Flush()
	go r.outage(d) // it waits for this connection too
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// writeNotFound is the runtime's answer to a slug it does not have.
func writeNotFound(w http.ResponseWriter) {
	writeJSON(w, http.StatusNotFound, map[string]string{"code": "NOT_FOUND", "message": "Requested function was not found"})
}
