package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/edgegate/edgegate/caddymodule/handover"
)

const (
	// drainable is the size, in bytes, up to which the body of a refused request is
	// read after the answer so that the connection can be kept.
	drainable = 256 << 10
	// lingerTime and lingerBytes bound the reading of a body after an early answer.
	lingerTime  = 5 * time.Second
	lingerBytes = 64 << 20
)

// The gateway may answer before the request's body was read. net/http would first read
// up to 256 KiB of the body, however slowly it comes. After that it does not recognize
// the body inside of Caddy's wrapper, and would parse the rest of it as the next
// request.

// ownBody keeps net/http from reading an HTTP/1 request body to its end before
// an answer goes out: a function may answer while its body still comes in, and
// a client that waits for 100 Continue must get a refusal instead.
func (c *call) ownBody() {
	if c.r.ProtoMajor == 1 && c.r.ContentLength != 0 {
		_ = http.NewResponseController(c.w).EnableFullDuplex()
	}
}

// answerEarly prepares an answer of the gateway, which is sent at once, whether or not
// the request's body has arrived. The connection is kept only if the body is short, its
// length is known, and nothing of it was read.
func (c *call) answerEarly() {
	c.ownBody()
	c.drainBody = c.r.ProtoMajor == 1 && c.exchange == nil && c.r.Header.Get("Expect") == "" &&
		c.r.ContentLength > 0 && c.r.ContentLength <= drainable
	if !c.drainBody {
		c.closeUnlessEnded()
	}
}

// bodyEnded reports whether the request's body was read to its end. It is true for
// HTTP/2 and HTTP/3, where that does not matter to other requests.
func (c *call) bodyEnded() bool {
	return c.r.ProtoMajor != 1 || c.r.ContentLength == 0 || c.exchange != nil && c.exchange.BodyEnded()
}

// closeUnlessEnded announces the end of the connection with an answer that
// is sent before the request's body was read.
func (c *call) closeUnlessEnded() {
	if !c.bodyEnded() {
		c.announcedClose = true
		c.w.Header().Set("Connection", "close")
	}
}

// linger reads the rest of a request's body after an answer that did not wait for
// it: if the connection were closed while they still send, many clients would
// report the broken connection instead of the answer.
func (c *call) linger() {
	conn := http.NewResponseController(c.w)
	if c.drainBody {
		c.drainBody = false
		if err := c.readBody(conn, drainable+1); !errors.Is(err, io.EOF) {
			c.closeConnection(conn) // what follows on the connection is no request
			return
		}
		_ = conn.SetReadDeadline(time.Time{})
		return
	}
	if !c.announcedClose || c.r.Header.Get("Expect") != "" || c.r.Context().Err() != nil {
		return
	}
	if c.exchange != nil && c.exchange.Stalled() {
		return
	}
	c.announcedClose = false
	_ = c.readBody(conn, lingerBytes) // the connection ends either way
}

// readBody flushes the answer and reads the request's body, up to a number of bytes
// and for lingerTime. It returns io.EOF at the end of the body.
func (c *call) readBody(conn *http.ResponseController, most int64) error {
	if err := conn.Flush(); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c.r.Body, most)
	return err
}

// breakOff ends an answer so that no client takes it for complete. It sends what was
// received of the answer first. HTTP/1 loses its connection before the end of the body:
// net/http cannot write that any more. HTTP/2 resets the stream for a deadline
// that has passed, HTTP/3 when it is told to.
func (c *call) breakOff() {
	conn := http.NewResponseController(c.w)
	// Errors of a client that is gone do not matter, and a client that does not read
	// must not hold the call.
	err := conn.SetWriteDeadline(time.Now().Add(lingerTime))
	_ = conn.Flush()
	switch stream := streamOf(c.w); {
	case stream != nil:
		stream.CancelRead(quic.StreamErrorCode(http3.ErrCodeInternalError))
		stream.CancelWrite(quic.StreamErrorCode(http3.ErrCodeInternalError))
	case c.r.ProtoMajor == 1 && c.r.ProtoMinor == 0:
		// The end of the connection may be the end of the body: only a reset says
		// more.
		handover.ResetOnClose(c.r)
		fallthrough
	default:
		err = conn.SetWriteDeadline(time.Unix(1, 0))
	}
	c.mustPanic = err != nil
}

// closeConnection closes an HTTP/1 connection after a complete answer that had no
// Connection: close.
func (c *call) closeConnection(controller *http.ResponseController) {
	conn, _, err := controller.Hijack()
	if err != nil {
		c.mustPanic = true
		return
	}
	_ = conn.Close()
}

// streamOf returns the HTTP/3 stream below a writer, nil with other protocols.
func streamOf(w http.ResponseWriter) *http3.Stream {
	for {
		switch inner := w.(type) {
		case http3.HTTPStreamer:
			return inner.HTTPStream()
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return nil
		}
	}
}
