package regions

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
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
)

// connPools are the connection pools of one backend. They share no connections.
type connPools struct {
	calls *http.Transport
	// probes has connections of its own: a function that breaks its connection
	// must not fail a probe (contract 9.1).
	probes *http.Transport
	// apart opens a connection for each request and closes it afterwards. Requests
	// of suspect functions take it.
	apart *http.Transport
}

func newLinks(u *Upstream, security *tls.Config) *connPools {
	l := &connPools{calls: newTransport(u, security), probes: newTransport(u, security), apart: newTransport(u, security)}
	l.apart.DisableKeepAlives = true
	return l
}

func (l *connPools) close() {
	for _, t := range []*http.Transport{l.calls, l.probes, l.apart} {
		t.CloseIdleConnections()
	}
}

// dialError is the error of a connection that could not be made.
type dialError struct{ error }

// Unwrap returns the cause.
func (e dialError) Unwrap() error { return e.error }

func newTransport(u *Upstream, security *tls.Config) *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := u.dial(ctx, u.Backend.Network, u.Backend.DialAddress)
			if err != nil {
				return nil, dialError{err}
			}
			return &watchedConn{Conn: conn, suspects: &u.suspects}, nil
		},
		TLSClientConfig:        security.Clone(), // http2.ConfigureTransport adds protocol names
		TLSHandshakeTimeout:    tlsTimeout,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleConnTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
	}
	if u.Backend.H2C {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	// Not the HTTP/2 of net/http: that of Go 1.26 deadlocks, with all calls to the
	// backend, when a backend opens a stream's window too far.
	if err := http2.ConfigureTransport(t); err != nil { //nolint:staticcheck // Protocols alone would take that of net/http
		panic(err) // only of a transport that has an https protocol already
	}
	return t
}
