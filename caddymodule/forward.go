package caddymodule

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
)

const (
	// statusClientGone is logged for a client that went away before its
	// answer; nobody receives it.
	statusClientGone = 499
	// idleMargin is how much later than our own timers Caddy's idle timeouts
	// cut a connection, so that ours tell the reason.
	idleMargin = 30 * time.Second
	// drainable is the size, in bytes, up to which net/http reads a refused
	// body before it answers, and keeps the connection.
	drainable = 256 << 10
	// lingerTime and lingerBytes bound what is taken in after an early answer.
	lingerTime  = 5 * time.Second
	lingerBytes = 64 << 20
)

// call is one request on its way through the handler.
type call struct {
	handler  *Handler
	w        http.ResponseWriter
	r        *http.Request
	inv      routing.Invocation
	exchange *regions.Exchange
	closing  bool // the answer announced the end of the connection
	meter    meter
	debug    string // how the region was chosen, for who may know
}

// forward sends the invocation to a region and its answer to the client.
func (c *call) forward() {
	exchange, ctx := regions.Begin(c.r.Context(), c.inv.Plan, c.inv.Limits)
	c.exchange = exchange
	exchange.Meter, exchange.Callee = &c.meter, c.inv.Callee()
	exchange.Tenant, exchange.Socket = c.inv.Tenant, c.inv.Socket
	defer exchange.End()
	exchange.Unblock = func() { _ = http.NewResponseController(c.w).SetReadDeadline(time.Unix(1, 0)) }
	c.ownTimeouts()
	if !c.inv.Preflight { // its body goes nowhere: net/http reads it and keeps the connection in order
		c.ownBody()
	}
	c.debug = c.explainCall()
	if c.inv.Hint.Conflict {
		if fields, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			fields.Add(zap.Bool("region_conflict", true))
		}
	}
	w := c.w
	if routing.IsWebSocket(c.r.Method, c.r.Header) {
		w = &socketWriter{ResponseWriter: c.w, call: c}
	} else {
		// No other protocol is switched to: an upgrade to h2c would carry
		// requests past the pipeline.
		c.r.Header.Del("Upgrade")
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        c.rewrite,
		Transport:      &regions.Transport{Network: c.handler.app.network, Retry: c.handler.app.retries, Replay: c.handler.app.lease.replay},
		ModifyResponse: c.modifyResponse,
		ErrorHandler:   c.failed,
		BufferPool:     copyBuffers{},
		ErrorLog:       silent,
	}
	proxy.ServeHTTP(w, c.r.WithContext(ctx))
	c.meter.whole = true
	c.linger()
}

// ownTimeouts makes room for our timers: Caddy's server cuts a request body or
// a stream after a minute of silence by default.
func (c *call) ownTimeouts() {
	limit := c.inv.Limits.Idle + idleMargin
	reader, writer := caddyhttp.IdleTimeoutsFromContext(c.r.Context())
	if reader != nil {
		reader.Override(limit, 0)
	}
	if writer != nil {
		writer.Override(limit, 0, 0)
	}
}

// ownBody keeps net/http from reading an HTTP/1 request body to its end before
// an answer goes out: a function may answer while its body still comes in, and
// a client that waits for 100 Continue must get a refusal instead.
func (c *call) ownBody() {
	if c.r.ProtoMajor == 1 && c.r.ContentLength != 0 {
		_ = http.NewResponseController(c.w).EnableFullDuplex()
	}
}

// bodyEnded reports whether nothing of the request's body is left on an
// HTTP/1 connection.
func (c *call) bodyEnded() bool {
	return c.r.ProtoMajor != 1 || c.r.ContentLength == 0 || c.exchange != nil && c.exchange.BodyEnded()
}

// closeUnlessEnded announces the end of the connection with an answer that
// goes out ahead of the request's body. net/http would see to it, but does not
// recognize the body in Caddy's wrapping: it would take the rest of it for the
// next request.
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
	if !c.closing || c.r.Header.Get("Expect") != "" || c.r.Context().Err() != nil {
		return
	}
	if c.exchange != nil && c.exchange.Stalled() {
		return
	}
	c.closing = false
	conn := http.NewResponseController(c.w)
	if conn.Flush() == nil && conn.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.r.Body, lingerBytes)
	}
}

// rewrite makes the backend's request. Hop-by-hop headers are gone by now, so
// what is set here stays.
func (c *call) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL = &url.URL{Opaque: c.inv.Target}
	if c.inv.Preflight {
		dropBody(out)
	}
	trusted, _ := caddyhttp.GetVar(pr.In.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	out.Host = forwardedHeaders(out.Header, pr.In, trusted)
	out.Header.Set(headerRequestID, c.inv.ID)
	out.Header.Set(headerProjectRef, c.inv.Project.Ref)
	trace := routing.ContinueTrace(pr.In.Header, c.inv.ID)
	setOrDelete(out.Header, "Traceparent", trace.Parent)
	setOrDelete(out.Header, "Tracestate", trace.State)
	setOrDelete(out.Header, "Baggage", trace.Baggage)
}

// dropBody makes a request without a body: a preflight has none for the function
// (BEHAVIOUR.md 4.1).
func dropBody(out *http.Request) {
	out.Body, out.ContentLength, out.TransferEncoding, out.Trailer = http.NoBody, 0, nil, nil
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer", "Expect"} {
		out.Header.Del(name)
	}
}

// failed answers an invocation that got no answer from a backend.
func (c *call) failed(_ http.ResponseWriter, _ *http.Request, err error) {
	refusal := c.handler.app.pipeline.Failed(&c.inv, err)
	if refusal == nil {
		c.meter.status = statusClientGone
		c.meter.gone()
		c.w.WriteHeader(statusClientGone)
		return
	}
	c.unanswered(refusal)
	c.refuse(refusal)
}

func setOrDelete(header http.Header, name, value string) {
	if value == "" {
		header.Del(name)
		return
	}
	header.Set(name, value)
}

// silent takes what httputil.ReverseProxy says about aborted copies: the
// handler's own line says it without quoting the request.
var silent = log.New(io.Discard, "", 0)

// copyBuffers lends the buffers that bodies are copied through.
type copyBuffers struct{}

var bufferPool = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Get implements httputil.BufferPool.
func (copyBuffers) Get() []byte { return *bufferPool.Get().(*[]byte) }

// Put implements httputil.BufferPool.
func (copyBuffers) Put(b []byte) { bufferPool.Put(&b) }
