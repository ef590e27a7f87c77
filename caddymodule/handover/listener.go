package handover

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// network is the network whose TCP sockets stay open over reloads.
// Caddy opens a second socket for the new configuration and closes the old
// one, upon which the kernel resets every connection that waited in it; and it
// closes connections that are idle between two requests, which a client may be
// about to use. Here both pass on to the new configuration.
const network = "edgegate"

func init() {
	caddy.RegisterNetwork(network, listenShared)
	caddyhttp.RegisterNetworkHTTP3(network, "udp")
}

// Keep makes the TCP sockets of a server outlive its configuration.
// It must be called before the server starts, and may be called again.
func Keep(server *caddyhttp.Server) {
	changed := false
	for i, address := range server.Listen {
		if parsed, err := caddy.ParseNetworkAddress(address); err == nil && parsed.Network == "tcp" {
			parsed.Network = network
			server.Listen[i], changed = parsed.String(), true
		}
	}
	if changed {
		server.RegisterConnState(connChanged)
		server.RegisterConnContext(connContext)
	}
}

// connChanged is a hook of http.Server.
func connChanged(conn net.Conn, state http.ConnState) {
	if c, ok := conn.(*sharedConn); ok {
		c.changed(state)
	}
}

// connContext is a hook of http.Server.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*sharedConn); ok {
		c.attached()
		return context.WithValue(ctx, sharedConnKey{}, c)
	}
	return ctx
}

var sharedListeners = struct {
	sync.Mutex // guards the map and the uses of what is in it
	open       map[string]*sharedListener
}{open: make(map[string]*sharedListener)}

// listenShared implements caddy.ListenerFunc.
func listenShared(ctx context.Context, _, host, port string, offset uint, config net.ListenConfig) (any, error) {
	address, err := caddy.ParseNetworkAddress(caddy.JoinNetworkAddress("tcp", host, port))
	if err != nil {
		return nil, err
	}
	key := address.JoinHostPort(offset)
	sharedListeners.Lock()
	defer sharedListeners.Unlock()
	shared, ok := sharedListeners.open[key]
	if !ok {
		opened, err := address.Listen(ctx, offset, config)
		if err != nil {
			return nil, err
		}
		shared = &sharedListener{
			Listener: opened.(net.Listener),
			key:      key,
			accepted: make(chan acceptance),
			done:     make(chan struct{}),
		}
		sharedListeners.open[key] = shared
		go shared.accept()
	}
	use := &listenerUse{sharedListener: shared, closed: make(chan struct{}), conns: make(map[*sharedConn]struct{})}
	shared.uses = append(shared.uses, use)
	return use, nil
}

// sharedListener is one socket, used by the servers of one configuration, and
// by those of two while one replaces the other.
type sharedListener struct {
	net.Listener
	key      string
	uses     []*listenerUse // oldest first, guarded by sharedListeners
	accepted chan acceptance
	done     chan struct{} // closed with the socket
}

type acceptance struct {
	conn  net.Conn
	early []byte // what another server read of the next request
	stray int    // how many line breaks may come before that, in bytes
	err   error
}

func (s *sharedListener) accept() {
	for {
		conn, err := s.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.offer(acceptance{conn: conn, err: err})
	}
}

// offer waits for a server to take a connection, or an error, which servers
// know how to wait out.
func (s *sharedListener) offer(a acceptance) {
	select {
	case s.accepted <- a:
	case <-s.done:
		if a.conn != nil {
			_ = a.conn.Close()
		}
	}
}

func (s *sharedListener) release(use *listenerUse) error {
	sharedListeners.Lock()
	defer sharedListeners.Unlock()
	s.uses = slices.DeleteFunc(s.uses, func(other *listenerUse) bool { return other == use })
	if len(s.uses) > 0 {
		return nil
	}
	delete(sharedListeners.open, s.key)
	close(s.done)
	return s.Listener.Close()
}

// listenerUse is the listener of one configuration.
type listenerUse struct {
	*sharedListener
	once   sync.Once
	closed chan struct{}

	mu    sync.Mutex // guards conns
	conns map[*sharedConn]struct{}
}

// Accept implements net.Listener.
func (u *listenerUse) Accept() (net.Conn, error) {
	if u.stopping() {
		return nil, net.ErrClosed
	}
	select {
	case a := <-u.accepted:
		if a.err != nil {
			return nil, a.err
		}
		c := &sharedConn{
			Conn:  a.conn,
			use:   u,
			early: a.early,
			stray: a.stray,
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.conns[c] = struct{}{}
		return c, nil
	case <-u.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The socket stays open while another
// configuration uses it. The connections on which nothing happens go to that
// one at once: net/http would wait for the first request of each for seconds.
func (u *listenerUse) Close() error {
	err := net.ErrClosed
	u.once.Do(func() {
		close(u.closed)
		err = u.release(u)
		u.mu.Lock()
		waiting := slices.Collect(maps.Keys(u.conns))
		u.mu.Unlock()
		for _, c := range waiting {
			c.moveIfWaiting()
		}
	})
	return err
}

// stopping reports whether the server will answer no further request.
func (u *listenerUse) stopping() bool {
	select {
	case <-u.closed:
		return true
	default:
		return false
	}
}

// forget drops a connection that is closed or handed over.
func (u *listenerUse) forget(c *sharedConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.conns, c)
}

// replaced reports whether a newer configuration uses the socket. It may do so
// before this one's server knows that it has to stop.
func (u *listenerUse) replaced() bool {
	sharedListeners.Lock()
	defer sharedListeners.Unlock()
	return len(u.uses) > 0 && u.uses[len(u.uses)-1] != u
}
