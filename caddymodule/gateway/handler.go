package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/handover"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler answers calls of edge functions: it admits or refuses them, and forwards
// admitted calls to a region. It never calls the next handler: a path that is no
// function is answered 404 (contract 1.7).
type Handler struct {
	// The origins whose scripts may read answers in a browser. Default: any origin,
	// without credentials. The policy of a project takes precedence.
	CORS *projects.CORSConfig `json:"cors,omitempty"`

	// How HTML is served on shared hosts: as `text/plain` (default), or `keep` for
	// unchanged. The setting of a function takes precedence.
	HTML string `json:"html,omitempty"`

	// Headers of answers that scripts in browsers may read, besides the gateway's
	// own and those that the project and the function name. Default: none.
	Expose []string `json:"expose,omitempty"`

	app    *App
	site   routing.Site
	logger *zap.Logger

	originWarnings warningLimiter // about functions that allow another origin than the site
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.edge_functions",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the app and checks the site's options.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := ctx.AppIfConfigured("edge_functions")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("the edge_functions global option is missing: it says which regions and functions there are")
	}
	if err != nil {
		return err
	}
	h.app = app.(*App)
	html, err := projects.ParseHTMLMode(h.HTML)
	if err != nil {
		return fmt.Errorf("html %w", err)
	}
	h.site.KeepHTML = html == projects.HTMLKeep
	if h.CORS != nil {
		if h.site.CORS, err = cors.New(cors.Config(*h.CORS)); err != nil {
			return fmt.Errorf("cors: %w", err)
		}
	}
	if h.site.Exposed, err = cors.ParseExposed(h.Expose); err != nil {
		return fmt.Errorf("expose: %w", err)
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		handover.Keep(server)
		h.app.servers = append(h.app.servers, server)
		// The server does not know hijacked connections when it stops, and it may
		// stop before or after the app.
		sockets := h.app.shared.sockets
		server.RegisterOnShutdown(func() {
			if caddy.Exiting() {
				sockets.CloseAll()
			}
		})
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It returns no errors: Caddy would
// log the request with them.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	handover.Begin(r)
	if regions.AnswerOwnProbe(w, r) {
		return nil
	}
	h.app.awaitStart(r.Context())
	c := &call{
		handler: h,
		w:       w,
		r:       r,
		start:   time.Now(),
	}
	c.meter = callMeter{call: c, request: h.app.engine.Receive()}
	c.trace = h.app.tracer.Begin(r, c.start)
	defer c.end()
	request := routing.Request{
		Method:        r.Method,
		Host:          r.Host,
		Target:        r.RequestURI,
		Header:        r.Header,
		Trailer:       r.Trailer,
		ContentLength: r.ContentLength,
		Start:         c.start,
		Client:        h.app.client(r),
		Usage:         &c.meter,
	}
	if refusal := h.app.pipeline.Admit(&request, h.site, &c.inv); refusal != nil {
		if refusal.Status >= http.StatusInternalServerError && refusal.Status != http.StatusNotImplemented {
			c.logUnanswered(refusal)
		}
		c.refuse(refusal)
		return nil
	}
	if c.inv.Answer != routing.AnswerNone {
		c.noContent()
		return nil
	}
	c.forward()
	return nil
}

// Headers of every answer (contract 2.7, 2.8).
const (
	headerRequestID  = "Sb-Request-Id"
	headerVersion    = "Sb-Gateway-Version"
	headerProjectRef = "Sb-Project-Ref"
	headerErrorCode  = "Sb-Error-Code"
	headerReason     = "X-Sb-Region-Reason"
	headerServedBy   = "X-Served-By"

	gatewayVersion  = "1"
	defaultServedBy = "supabase-edge-runtime"
)

// setCommonHeaders sets the headers that every answer has.
func (c *call) setCommonHeaders(header http.Header) {
	header.Set(headerRequestID, c.inv.ID)
	header.Set(headerVersion, gatewayVersion)
	if c.inv.Project != nil {
		header.Set(headerProjectRef, c.inv.Project.Ref)
	}
	c.meter.setLimitHeaders(header)
}

// version is set by release builds with -ldflags -X.
var version string

const modulePath = "github.com/edgegate/edgegate"

// Version returns the version of the gateway: of the release, or of the module that
// was built into another binary, otherwise "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == modulePath && m.Version != "" && m.Version != "(devel)" {
				return m.Version
			}
		}
	}
	return "devel"
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
