package gateway

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/forwarded"
	"github.com/edgegate/edgegate/caddymodule/headwriter"
	"github.com/edgegate/edgegate/caddymodule/sockets"
	"github.com/edgegate/edgegate/caddymodule/tracing"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
)

const (
	// statusClientGone is the status in logs of a call whose client closed the
	// connection before the answer.
	statusClientGone = 499
	// idleMargin is the time by which Caddy's idle timeouts are longer than the
	// gateway's, which therefore ends the call and knows why.
	idleMargin = 30 * time.Second
)

// call is one request that the handler answers: of a function, if the pipeline admits
// it.
type call struct {
	handler        *Handler
	w              http.ResponseWriter
	r              *http.Request
	inv            routing.Invocation
	exchange       *regions.Exchange
	head           *headwriter.Writer // nil before forward
	socket         *sockets.Socket    // nil unless the call became a WebSocket
	start          time.Time
	record         callRecord
	refusal        *routing.Refusal // the gateway's own error answer; nil without one
	mustPanic      bool             // only a panic can break off the answer: the writer cannot
	announcedClose bool             // the answer has Connection: close
	meter          callMeter
	trace          *tracing.Call // nil if nothing is traced
	drainBody      bool          // read the rest of the body after the answer, to keep the connection
	debug          string        // the value of x-sb-debug in the answer; "" for none
}

// forward sends the invocation to a region and its answer to the client.
func (c *call) forward() {
	exchange, ctx := regions.Begin(c.r.Context(), c.inv.Plan, c.inv.Limits)
	c.exchange = exchange
	exchange.Meter, exchange.Callee = &c.meter, c.inv.Callee()
	exchange.Tenant, exchange.Socket = c.inv.Tenant, c.inv.Socket
	if c.trace != nil {
		exchange.Tracer = c.trace
	}
	exchange.Unblock = func() { _ = http.NewResponseController(c.w).SetReadDeadline(time.Unix(1, 0)) }
	c.ownTimeouts()
	if !c.inv.Preflight { // its body is not forwarded: net/http reads it
		c.ownBody()
	}
	c.debug = c.explainCall()
	if c.inv.Hint.Conflict {
		if fields, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			fields.Add(zap.Bool("region_conflict", true))
		}
	}
	c.head = &headwriter.Writer{ResponseWriter: c.w}
	var w http.ResponseWriter = c.head
	if routing.IsWebSocket(c.r.Method, c.r.Header) {
		w = c.socketWriter(w)
	} else {
		// Other upgrades are not forwarded: the requests of an h2c connection would
		// not pass the pipeline.
		c.r.Header.Del("Upgrade")
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        c.rewrite,
		Transport:      &regions.Transport{Network: c.handler.app.network, Retry: c.handler.app.retries, Replay: c.handler.app.shared.replay},
		ModifyResponse: c.modifyResponse,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { c.answerFailure(err) },
		BufferPool:     copyBuffers{},
		ErrorLog:       discardLog,
	}
	proxy.ServeHTTP(w, c.r.WithContext(ctx))
	c.finishProxied()
}

// finishProxied ends a call after the proxy returned without a panic.
func (c *call) finishProxied() {
	switch {
	case c.socket != nil:
		c.setEnding(socketEnding(c.socket.Outcome()))
	case !c.head.Whole():
		c.answerBrokenOff() // the proxy does not panic if it does not know the server
		return
	default:
		c.setEnding(endComplete, nil)
	}
	c.linger()
}

// ownTimeouts raises the idle timeouts of Caddy's server, which ends calls after a
// minute without data by default, above the gateway's.
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

// rewrite sets the URL and headers of the request to the backend. The proxy has
// removed hop-by-hop headers before.
func (c *call) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL = &url.URL{Opaque: c.inv.Target}
	if c.inv.Preflight {
		dropBody(out)
	}
	trusted, _ := caddyhttp.GetVar(pr.In.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	out.Host = forwarded.SetHeaders(out.Header, pr.In, trusted)
	out.Header.Set(headerRequestID, c.inv.ID)
	out.Header.Set(headerProjectRef, c.inv.Project.Ref)
	trace := routing.ContinueTrace(pr.In.Header, c.inv.ID)
	setOrDelete(out.Header, "Traceparent", trace.Parent)
	setOrDelete(out.Header, "Tracestate", trace.State)
	setOrDelete(out.Header, "Baggage", trace.Baggage)
}

// dropBody removes the body of a request: a preflight is forwarded without
// (contract 4.1).
func dropBody(out *http.Request) {
	out.Body, out.ContentLength, out.TransferEncoding, out.Trailer = http.NoBody, 0, nil, nil
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer", "Expect"} {
		out.Header.Del(name)
	}
}

// answerFailure answers an invocation that got no answer from a backend.
func (c *call) answerFailure(err error) {
	c.record.answered = false
	refusal := c.handler.app.pipeline.Failed(&c.inv, err)
	if refusal == nil {
		c.setEnding(c.connectionLost())
		c.meter.status = statusClientGone
		c.meter.request.Gone()
		// A client that closed only its sending side still reads this.
		c.setCommonHeaders(c.w.Header())
		c.inv.CORS.Gateway(c.w.Header(), c.inv.Origin, c.inv.Exposed[:]...)
		c.w.WriteHeader(statusClientGone)
		return
	}
	c.logUnanswered(refusal)
	c.setEnding(refusedAs(refusal), err)
	c.refuse(refusal)
}

func setOrDelete(header http.Header, name, value string) {
	if value == "" {
		header.Del(name)
		return
	}
	header.Set(name, value)
}

// discardLog drops the messages of httputil.ReverseProxy, which may contain data of the
// request. The handler logs failures itself.
var discardLog = log.New(io.Discard, "", 0)

// copyBuffers lends the buffers that bodies are copied through.
type copyBuffers struct{}

var bufferPool = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Get implements httputil.BufferPool.
func (copyBuffers) Get() []byte { return *bufferPool.Get().(*[]byte) }

// Put implements httputil.BufferPool.
func (copyBuffers) Put(b []byte) { bufferPool.Put(&b) }

// socketWriter returns a writer whose connection becomes a WebSocket when the
// proxy takes it over.
func (c *call) socketWriter(w http.ResponseWriter) http.ResponseWriter {
	return &sockets.Writer{
		ResponseWriter: w,
		Registry:       c.handler.app.shared.sockets,
		Region:         c.region,
		Backend:        c.exchange.Backend,
		Switched:       c.switched,
	}
}

// switched notes that the call has become a WebSocket.
func (c *call) switched(s *sockets.Socket) {
	c.socket = s
	// For Caddy's access log and metrics: the head itself is written to the
	// connection.
	c.w.WriteHeader(http.StatusSwitchingProtocols)
	c.exchange.OnTimeout(func(cause error) {
		reason := "idle timeout"
		if errors.Is(cause, regions.ErrWallClock) {
			reason = "wall clock limit"
		}
		s.GoAway(sockets.TimedOut, reason)
	})
}

// socketEnding returns the ending of a call that was a WebSocket, and its cause.
func socketEnding(outcome sockets.Outcome) (callEnding, error) {
	switch outcome {
	case sockets.Complete:
		return endComplete, nil
	case sockets.ClientGone:
		return endClientGone, regions.ErrClientGone
	case sockets.ServerClosed:
		return endReloaded, nil
	case sockets.TimedOut:
		return endTimedOut, nil
	default: // sockets.BackendCut
		return endBackendCut, regions.ErrBackend
	}
}
