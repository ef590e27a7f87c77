package regions

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// connectTimeout bounds the wait for a backend to accept a connection.
	connectTimeout = 2 * time.Second
	// tlsTimeout bounds the handshake with a backend.
	tlsTimeout = 5 * time.Second
	// idleConnTimeout is how long an unused connection is kept.
	idleConnTimeout = 90 * time.Second
	// maxIdleConns bounds the unused connections of one backend; the default
	// of net/http is 2.
	maxIdleConns = 512
	// maxResponseHeader bounds the header of an answer, in bytes.
	maxResponseHeader = 256 << 10
	// avoidDown is how long a backend that did not accept a connection is
	// passed over while another one may accept.
	avoidDown = time.Second
)

// State is how a backend or a region is doing, as far as this gateway knows.
type State string

// The states. Backends are unknown, up or down.
const (
	StateUnknown  State = "unknown" // nothing was heard from there yet
	StateUp       State = "up"
	StateDegraded State = "degraded" // slow, or failing now and then
	StateDown     State = "down"
	StateDraining State = "draining" // its requests go elsewhere, little by little
	StateDrained  State = "drained"
)

// Upstream is the living state of one backend: its connections and what is
// known of its health. It outlives configurations, and is safe for concurrent
// use.
type Upstream struct {
	Backend Backend

	transport *http.Transport
	now       func() time.Time
	inFlight  atomic.Int64
	health    atomic.Pointer[health]
}

// health is an immutable verdict.
type health struct {
	state   State
	since   time.Time // when state was entered
	checked time.Time // when state was last confirmed
}

// NewUpstream returns the state of a backend that nothing is known of yet. It
// opens nothing.
func NewUpstream(b Backend) *Upstream {
	u := &Upstream{Backend: b, now: time.Now}
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	u.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, b.Network, b.DialAddress)
		},
		TLSHandshakeTimeout:    tlsTimeout,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleConnTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
	u.health.Store(&health{state: StateUnknown, since: u.now()})
	return u
}

// Close closes the connections that are not in use.
func (u *Upstream) Close() { u.transport.CloseIdleConnections() }

// State returns the backend's state and when it was entered.
func (u *Upstream) State() (State, time.Time) {
	h := u.health.Load()
	return h.state, h.since
}

// accepted records whether the backend accepted a connection.
func (u *Upstream) accepted(ok bool) {
	state := StateUp
	if !ok {
		state = StateDown
	}
	old := u.health.Load()
	if ok && old.state == state {
		return
	}
	verdict := &health{state: state, since: old.since, checked: u.now()}
	if old.state != state {
		verdict.since = verdict.checked
	}
	u.health.Store(verdict)
}

// avoided reports whether the backend refused a connection so recently that
// others are asked first.
func (u *Upstream) avoided() bool {
	h := u.health.Load()
	return h.state == StateDown && u.now().Sub(h.checked) < avoidDown
}
