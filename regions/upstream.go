package regions

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// State is the health of a backend or a region as this gateway knows it.
type State string

// The states. Backends are unknown, up or down.
const (
	StateUnknown  State = "unknown" // no probe or answer yet
	StateUp       State = "up"
	StateDegraded State = "degraded" // slow, or failing now and then
	StateDown     State = "down"
	StateDraining State = "draining" // its requests go elsewhere, little by little
	StateDrained  State = "drained"
)

// Upstream is the state of one backend: its connections, its health and its
// distance. It outlives configurations, and is safe for concurrent use.
type Upstream struct {
	Backend Backend
	key     string // Backend.Key

	dial        func(ctx context.Context, network, address string) (net.Conn, error)
	pools       atomic.Pointer[connPools]
	calls       atomic.Int64 // in flight, without WebSockets
	sockets     atomic.Int64 // WebSockets that are open
	own         atomic.Bool  // a probe came back to this gateway
	listensHere atomic.Bool  // its address is one that this gateway listens on
	far         atomic.Int64 // the round trip in nanoseconds, 0 while unknown
	breaker     *breaker
	brokenConns brokenConns
	suspects    suspects
	faults      faults                      // reasons shown while it is down
	asked       chan struct{}               // of capacity one: a probe is wanted soon
	changed     atomic.Pointer[func()]      // called when the state may have changed
	probed      atomic.Pointer[probeCounts] // of its region; nil before Network.Apply
	idle        atomic.Pointer[func()]      // called when nothing runs on it any more; see WhenIdle

	mu       sync.Mutex // guards the fields below
	security *tls.Config
	checks   Checks
	distance Estimator
	heard    bool // an answer came
	tripped  bool // trip opened the breaker
	state    State
	since    time.Time // when state was entered
	placed   bool      // place was called
	late     bool      // others of its region were established before
	proven   time.Time // when it first passed a probe or answered
}

// NewUpstream returns the state of a backend before its first probe. It opens no
// connection.
func NewUpstream(b Backend) *Upstream {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	u := &Upstream{
		Backend: b,
		key:     b.Key(),
		dial:    dialer.DialContext,
		asked:   make(chan struct{}, 1),
		state:   StateUnknown,
		since:   time.Now(),
	}
	u.breaker = newBreaker(u.tell)
	u.pools.Store(newLinks(u, nil))
	return u
}

// Secure sets the TLS configuration for connections to the backend; nil trusts the
// system's authorities and sends no certificate. If it differs from the last one,
// unused connections are closed; those in use end with their requests.
func (u *Upstream) Secure(config *tls.Config) {
	u.mu.Lock()
	same := u.security == config
	u.security = config
	u.mu.Unlock()
	if !same {
		u.pools.Swap(newLinks(u, config)).close()
	}
}

// Close closes the connections that are not in use.
func (u *Upstream) Close() { u.pools.Load().close() }

// tell reports that the state may have changed.
func (u *Upstream) tell() {
	if f := u.changed.Load(); f != nil {
		(*f)()
	}
}

// multiplexes reports whether requests may share a connection.
func (u *Upstream) multiplexes() bool { return u.Backend.H2C || u.Backend.Scheme == "https" }

// allow reports whether a request may be sent to the backend now. Then done
// must be called once; see breaker.
func (u *Upstream) allow() (done func(error), ok bool) { return u.breaker.allow() }

// running returns the count of the calls, or of the WebSockets, that run on the
// backend.
func (u *Upstream) running(socket bool) *atomic.Int64 {
	if socket {
		return &u.sockets
	}
	return &u.calls
}

// inFlight returns how many calls and WebSockets run on the backend.
func (u *Upstream) inFlight() int64 { return u.calls.Load() + u.sockets.Load() }

// Busy reports whether calls or WebSockets run on the backend.
func (u *Upstream) Busy() bool { return u.inFlight() > 0 }

// WhenIdle has f called each time that the last call or WebSocket on the backend ends,
// and now if none runs. A call may have begun by the time f looks: it has to ask Busy. It
// takes the place of the f before; nil ends that.
func (u *Upstream) WhenIdle(f func()) {
	if f == nil {
		u.idle.Store(nil)
		return
	}
	u.idle.Store(&f)
	if !u.Busy() {
		f()
	}
}

// ended takes a call or a WebSocket off the count of those in flight.
func (u *Upstream) ended(socket bool) {
	if u.running(socket).Add(-1) > 0 {
		return
	}
	if f := u.idle.Load(); f != nil && !u.Busy() {
		(*f)()
	}
}

// broke records that a connection broke after a request was written and before the
// first byte of its answer, and asks for a probe soon (contract 9.2).
func (u *Upstream) broke(now time.Time, callee Callee) {
	opens := u.brokenConns.add(now, callee)
	select {
	case u.asked <- struct{}{}:
	default:
	}
	if opens {
		u.trip()
	}
}

// trip opens the breaker until a probe passes, but for no longer than usual.
func (u *Upstream) trip() {
	u.mu.Lock()
	u.tripped = true
	u.mu.Unlock()
	u.faults.dial.Store(nil) // the reason is not a failed dial
	u.breaker.trip()
}

// setOwn notes whether the address leads to this gateway, and returns it.
func (u *Upstream) setOwn(own bool) bool {
	if u.own.Swap(own) != own {
		u.tell()
	}
	return own
}

// isOwn reports whether the address leads to this gateway: then it is never asked.
func (u *Upstream) isOwn() bool { return u.own.Load() || u.listensHere.Load() }

// answered notes that the backend gave an answer.
func (u *Upstream) answered() {
	u.brokenConns.answered()
	u.mu.Lock()
	first := !u.heard
	u.heard = true
	if first {
		u.prove(time.Now())
	}
	u.mu.Unlock()
	if first {
		u.tell()
	}
}

// checked records the outcome of a probe. rtt is 0 if none was measured. It
// returns the state by all probes so far.
func (u *Upstream) checked(began, now time.Time, passed bool, rtt time.Duration) State {
	if counts := u.probed.Load(); counts != nil {
		if passed {
			counts.passed.Add(1)
		} else {
			counts.failed.Add(1)
		}
	}
	if u.brokenConns.probed(began, now, passed) {
		u.trip()
	}
	u.mu.Lock()
	if passed {
		u.prove(now)
	}
	state, changed := u.checks.Report(passed)
	if changed && state == StateUp || passed && u.tripped {
		// Three passed probes outweigh the failures before them, and one outweighs
		// broken connections.
		u.breaker.retry()
		u.tripped = false
	}
	if rtt > 0 {
		changed = changed || !u.distance.Distance(now).Measured
		u.distance.Observe(now, rtt)
		u.far.Store(int64(u.distance.Distance(now).RTT))
	}
	u.mu.Unlock()
	if changed {
		u.tell()
	}
	return state
}

// prove notes that the backend works. u.mu is held.
func (u *Upstream) prove(now time.Time) {
	if u.proven.IsZero() {
		u.proven = now
	}
}

// established is how long a backend has worked beside which a new one starts slowly.
// When a gateway starts, its backends are found one after the other.
const established = 5 * time.Second

// isEstablished reports whether the backend has worked for a while.
func (u *Upstream) isEstablished(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.proven.IsZero() && now.Sub(u.proven) >= established
}

// place says whether the backend came late, beside established ones: then it starts
// slowly. Only the first call counts.
func (u *Upstream) place(late bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.late, u.placed = late && !u.placed || u.late, true
}

// ramp returns the part of its calls that the backend gets, 0 to 1. u.mu is held.
func (u *Upstream) ramp(now time.Time) float64 {
	if !u.late || u.proven.IsZero() {
		return 1
	}
	return max(slowStartLeast, progress(u.proven, slowStart, now))
}

// View returns the backend as it is now.
func (u *Upstream) View(now time.Time) BackendView {
	open, failures := u.breaker.open(now), u.breaker.failureRate()
	u.mu.Lock()
	defer u.mu.Unlock()
	state := u.checks.State()
	own := u.isOwn()
	switch {
	case open, own:
		state = StateDown
	case state == StateUnknown && u.heard:
		state = StateUp
	}
	if state != u.state {
		u.state, u.since = state, now
	}
	why := u.faults.why(open, u.checks.State() == StateDown)
	if own {
		why = "the address is this gateway's own, of a site or of the admin API"
	}
	return BackendView{
		Address:     u.Backend.Address,
		Key:         u.key,
		State:       state,
		Since:       u.since,
		Distance:    u.distance.Distance(now),
		FailureRate: failures,
		Open:        open,
		Proven:      !u.proven.IsZero(),
		Ramp:        u.ramp(now),
		InFlight:    u.inFlight(),
		Why:         why,
		Own:         own,
	}
}

// isDown reports whether the backend is down by its probes.
func (u *Upstream) isDown() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.checks.State() == StateDown
}

// usable reports whether the backend may be asked before others.
func (u *Upstream) usable(now time.Time) bool {
	return !u.breaker.open(now) && !u.isOwn() && !u.isDown()
}
