package regions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http2"
)

// blame classifies an attempt without an answer by what it tells about the
// backend (contract 9.1 to 9.5).
type blame uint8

const (
	// nobody: nothing. A caller, a function, a limit or this machine ended it.
	nobody blame = iota
	// unreachable: no connection to the backend could be made.
	unreachable
	// broken: a connection broke before the first byte of the answer. A probe
	// finds out whether the backend is down.
	broken
)

// failure describes an attempt without an answer: the error, how far the attempt
// came, and whom to blame.
type failure struct {
	err    error
	class  class
	blame  blame
	unsent bool // not a byte of the request went out (contract 7.1)
}

// classify turns the error of an attempt into a failure.
func (t *Transport) classify(x *Exchange, ctx context.Context, began time.Time, conn *connection, err error) failure {
	failed := t.judge(x, ctx, began, conn, err)
	failed.unsent = failed.unsent || !conn.got.Load() && !conn.stopped.Load()
	return failed
}

func (t *Transport) judge(x *Exchange, ctx context.Context, began time.Time, conn *connection, err error) failure {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			return failure{err: ErrClientGone}
		}
		// One of our own limits ended it, which says nothing of the backend.
		return failure{err: cause}
	}
	if x.body != nil {
		if fault := x.body.failure(); fault != nil {
			return failure{err: fault}
		}
	}
	// say wraps err for the log, under one of the package's errors.
	say := func(kind error) error { return fmt.Errorf("%w: region %s: %w", kind, x.Region.Name, err) }
	if conn.stopped.Load() {
		return failure{err: say(ErrBackend), class: answered}
	}
	if !conn.got.Load() {
		return unconnected(conn, began, err, say)
	}
	var reset http2.StreamError
	switch {
	case conn.began.Load():
		return failure{err: say(ErrNotHTTP), class: answered}
	case errors.As(err, &reset) && reset.Code == http2.ErrCodeRefusedStream:
		return failure{err: say(ErrBackend), class: neverSentSlow}
	case errors.As(err, &reset):
		// HTTP/2: the backend ended this request and no other.
		return failure{err: say(ErrBackend), class: answered}
	case isAlert(err) && !conn.reused.Load():
		// With TLS 1.3 the refusal of our client certificate arrives here.
		return failure{err: say(ErrBackend), class: sent, blame: unreachable}
	case !conn.wrote.Load() && errors.Is(err, net.ErrClosed):
		// Closed by our own transport when it could not write the header; its
		// reader may be the first to say so.
		return failure{err: say(ErrUnsendable), unsent: true}
	case isBroken(err), conn.multiplexed.Load() && isConnectionError(err):
		if conn.apart && !isBroken(err) {
			// The connection carried this function's answer only.
			return failure{err: say(ErrNotHTTP), class: answered}
		}
		return failure{err: say(ErrBackend), class: sent, blame: broken}
	}
	// Our own transport refused to send it, or the rest of it.
	return failure{err: say(ErrUnsendable), unsent: !conn.wrote.Load()}
}

// unconnected classifies an attempt that got no connection.
func unconnected(conn *connection, began time.Time, err error, say func(error) error) failure {
	failed := failure{err: say(ErrUnavailable), class: neverSent}
	if time.Since(began) > slowConnect {
		failed.class = neverSentSlow
	}
	var dial dialError
	switch {
	case isShortage(err):
		return failed // another backend may be connected to already
	case conn.handshake.Load() && conn.upgrade && isNoProtocol(err):
		// The backend speaks HTTP/2 only; it is healthy for other requests.
		return failure{err: say(ErrUpgradeUnsupported), class: neverSent}
	case conn.handshake.Load() && conn.upgrade:
		// Some backends refuse a handshake without HTTP/2. A probe finds out
		// whether this one is down.
		failed.blame = broken
	case errors.As(err, &dial), conn.handshake.Load():
		failed.blame = unreachable
	case isBroken(err), isConnectionError(err):
		failed.blame = broken
	default:
		return failure{err: say(ErrUnsendable)}
	}
	return failed
}

// isBroken reports whether err is about the connection itself, not about the
// bytes that came over it.
func isBroken(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &network) || hasText(err, brokenTexts)
}

// isConnectionError reports whether err ended a whole HTTP/2 connection.
func isConnectionError(err error) bool { return hasText(err, connectionTexts) }

// Texts of errors for which net/http has no types.
var (
	brokenTexts = []string{
		"http: server closed idle connection", "http: idle connection timeout", "http: persistConn.readLoop exiting",
	}
	connectionTexts = []string{
		"connection error: ", "http2: server sent GOAWAY", "http2: frame too large", "http2: client conn",
		"http2: Transport received", "http2: no cached connection", "http2: Transport: cannot retry err",
	}
)

func hasText(err error, texts []string) bool {
	said := err.Error()
	for _, text := range texts {
		if strings.Contains(said, text) {
			return true
		}
	}
	return false
}

// isAlert reports whether err is an alert from the TLS peer.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// isNoProtocol reports whether a TLS handshake failed for the protocol that was
// asked for: alert 120 of RFC 7301.
func isNoProtocol(err error) bool { return hasText(err, []string{"no application protocol"}) }

// isShortage reports whether this machine had no means to make a connection.
func isShortage(err error) bool {
	for _, short := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, short) {
			return true
		}
	}
	return false
}
