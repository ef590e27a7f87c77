package gateway

import (
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/edgegate/edgegate/caddymodule/handover"
)

// cut breaks an answer off so that no client takes it for whole. What came of
// it goes out first. HTTP/1 loses its connection before the end of the body:
// net/http cannot write that any more. HTTP/2 resets the stream for a deadline
// that has passed, HTTP/3 when it is told to.
func (c *call) cut() {
	conn := http.NewResponseController(c.w)
	// A client that is gone by now has nothing to be told, and one that does not
	// read must not hold the call.
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
	c.unreset = err != nil
}

// drop closes the connection behind a whole HTTP/1 answer that did not announce
// it.
func (c *call) drop(controller *http.ResponseController) {
	conn, _, err := controller.Hijack()
	if err != nil {
		c.unreset = true
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
