package regions

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// requestBody is the client's body. It keeps short bodies for another attempt,
// and the error of a failed read with whose fault it was.
type requestBody struct {
	x       *Exchange
	src     io.Reader
	length  int64        // declared by the client, -1 when unknown
	ended   atomic.Bool  // the client has sent all of it
	waiting atomic.Bool  // a read of the client's bytes is under way
	fault   atomic.Value // readError: why reading from the client failed

	kept keptBody

	mu   sync.Mutex   // guards the fields below and serializes reads of src
	read atomic.Int64 // bytes taken from src; written with mu held
	end  error        // the last error of src
}

type readError struct{ error }

func newRequestBody(x *Exchange, src io.Reader, length, limit int64, memory *ReplayMemory) *requestBody {
	return &requestBody{
		x:      x,
		src:    src,
		length: length,
		kept: keptBody{
			memory: memory,
			limit:  limit,
			length: length,
			whole:  length <= limit,
		},
	}
}

// replayable reports whether a new attempt can send the whole body.
func (b *requestBody) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.isWhole() || b.read.Load() == 0 && b.end == nil
}

var errNotKept = errors.New("the body is too long to be sent again")

// again is attempt for http.Request.GetBody.
func (b *requestBody) again() (io.ReadCloser, error) {
	if !b.replayable() {
		return nil, errNotKept
	}
	return b.attempt(), nil
}

// failure returns why the client's bytes could not be read, nil if they could.
func (b *requestBody) failure() error {
	if f, ok := b.fault.Load().(readError); ok {
		return f.error
	}
	return nil
}

// attempt returns the body for one attempt.
func (b *requestBody) attempt() io.ReadCloser {
	b.kept.mu.Lock()
	defer b.kept.mu.Unlock()
	b.kept.latest = &bodyCursor{body: b}
	return b.kept.latest
}

// bodyCursor reads the kept bytes first, then what the client still sends.
type bodyCursor struct {
	body *requestBody
	at   int // bytes that were read; body.kept.mu guards it
}

// Close leaves the client's body alone: another attempt may need it, and the
// server closes it at the end.
func (c *bodyCursor) Close() error { return nil }

func (c *bodyCursor) Read(p []byte) (int, error) {
	b := c.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, err := b.kept.read(c, p, b.read.Load()); n > 0 || err != nil {
		return n, err
	}
	if b.end != nil {
		return 0, b.end
	}
	// An interrupt first ends the exchange, then checks waiting. Here the order
	// is reversed, so that no read begins that nobody unblocks.
	b.waiting.Store(true)
	if b.x.interrupted() {
		b.waiting.Store(false)
		return 0, context.Canceled
	}
	n, err := b.src.Read(p)
	b.waiting.Store(false)
	read := b.read.Add(int64(n))
	if errors.Is(err, io.EOF) || b.length > 0 && read >= b.length {
		b.ended.Store(true)
	}
	if errors.Is(err, io.EOF) && read < b.length {
		err = ErrBodyMalformed // HTTP/3 does not check it
	}
	if limit := b.x.Limits.MaxBody; limit > 0 && read > limit {
		b.read.Add(-int64(n))
		n, err = 0, ErrBodyTooLarge
	}
	b.kept.add(c, p[:n])
	if n > 0 {
		b.x.moved()
	}
	if err != nil {
		b.end = err
		if !errors.Is(err, io.EOF) {
			b.fault.Store(readError{clientFault(err)})
		}
	}
	return n, err
}

// clientFault classifies a failed read of the client's body.
func clientFault(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, ErrBodyTooLarge):
		return ErrBodyTooLarge
	case errors.Is(err, ErrBodyMalformed):
		return ErrBodyMalformed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrClientStalled
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		return ErrClientGone
	}
	// In HTTP/1 an invalid chunk; in the other versions a stream that was reset,
	// whose client does not read the answer.
	return ErrBodyMalformed
}

// responseBody lets the idle limit run while a byte of the response is awaited.
type responseBody struct {
	io.ReadCloser
	x     *Exchange
	held  *attemptResources
	timed bool
}

func (b *responseBody) Read(p []byte) (int, error) {
	if !b.timed {
		return b.ReadCloser.Read(p)
	}
	b.x.awaitByte()
	n, err := b.ReadCloser.Read(p)
	b.x.gotByte()
	return n, err
}

func (b *responseBody) Close() error {
	b.held.end()
	b.x.leave()
	return b.ReadCloser.Close()
}

// upgradedBody is the connection behind a 101: bytes from the backend move the
// idle timer (contract 6.6).
type upgradedBody struct {
	io.ReadWriteCloser
	x      *Exchange
	held   *attemptResources
	closed atomic.Bool
}

func (b *upgradedBody) Read(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Read(p)
	if n > 0 {
		b.x.awaitByte()
	}
	return n, err
}

func (b *upgradedBody) Close() error {
	if b.closed.CompareAndSwap(false, true) {
		b.held.end()
		b.x.leave()
		b.x.gotByte()
	}
	return b.ReadWriteCloser.Close()
}
