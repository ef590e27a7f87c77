package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// drainable is the size, in bytes, up to which a refused body is taken in
	// after the answer, and the connection kept.
	drainable = 256 << 10
	// lingerTime and lingerBytes bound what is taken in after an early answer.
	lingerTime  = 5 * time.Second
	lingerBytes = 64 << 20
)

// What a client still sends of a request that was answered already. net/http
// would read up to 256 KiB of it before an HTTP/1 answer goes out, however
// slowly they come, and does not recognize the body in Caddy's wrapping
// afterwards: it would take what is left for the next request.

// ownBody keeps net/http from reading an HTTP/1 request body to its end before
// an answer goes out: a function may answer while its body still comes in, and
// a client that waits for 100 Continue must get a refusal instead.
func (c *call) ownBody() {
	if c.r.ProtoMajor == 1 && c.r.ContentLength != 0 {
		_ = http.NewResponseController(c.w).EnableFullDuplex()
	}
}

// answerEarly prepares an answer of the gateway's own: it goes out at once,
// whatever the request's body does. Only behind a short body of known length
// that nobody has begun to read can the connection be kept.
func (c *call) answerEarly() {
	c.ownBody()
	c.draining = c.r.ProtoMajor == 1 && c.exchange == nil && c.r.Header.Get("Expect") == "" &&
		c.r.ContentLength > 0 && c.r.ContentLength <= drainable
	if !c.draining {
		c.closeUnlessEnded()
	}
}

// bodyEnded reports whether nothing of the request's body is left on an
// HTTP/1 connection.
func (c *call) bodyEnded() bool {
	return c.r.ProtoMajor != 1 || c.r.ContentLength == 0 || c.exchange != nil && c.exchange.BodyEnded()
}

// closeUnlessEnded announces the end of the connection with an answer that
// goes out ahead of the request's body.
func (c *call) closeUnlessEnded() {
	if !c.bodyEnded() {
		c.closing = true
		c.w.Header().Set("Connection", "close")
	}
}

// linger takes in what a client still sends of its body after an answer that
// did not wait for it: were the connection closed under it, many clients would
// report the broken connection instead of the answer.
func (c *call) linger() {
	conn := http.NewResponseController(c.w)
	if c.draining {
		c.draining = false
		if err := c.takeIn(conn, drainable+1); !errors.Is(err, io.EOF) {
			c.drop(conn) // what follows on the connection is no request
			return
		}
		_ = conn.SetReadDeadline(time.Time{})
		return
	}
	if !c.closing || c.r.Header.Get("Expect") != "" || c.r.Context().Err() != nil {
		return
	}
	if c.exchange != nil && c.exchange.Stalled() {
		return
	}
	c.closing = false
	_ = c.takeIn(conn, lingerBytes) // the connection ends either way
}

// takeIn sends what was written and reads the request's body, up to a number of
// bytes and for lingerTime. Its end is io.EOF.
func (c *call) takeIn(conn *http.ResponseController, most int64) error {
	if err := conn.Flush(); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c.r.Body, most)
	return err
}
