package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/caddymodule/options"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterHandlerDirective("edge_functions_health", parseDirective)
	// The gateway places its own directive there too, later: in front of it, this one
	// comes first.
	httpcaddyfile.RegisterDirectiveOrder("edge_functions_health", httpcaddyfile.Before, "reverse_proxy")
}

// The modes of a Handler.
const (
	modeLive  = "live"
	modeReady = "ready"
)

// Gateway is what a Handler asks: the app edge_functions of its configuration.
type Gateway interface {
	Health() Answer
}

// Handler answers GET and HEAD with 200 or 503 and an Answer as JSON. It never calls
// the next handler.
type Handler struct {
	// What 503 stands for. `ready` (default): new calls should go elsewhere. `live`:
	// never, as a process that answers serves; the body is the same.
	Mode string `json:"mode,omitempty"`

	gateway Gateway
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.edge_functions_health",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the gateway of the configuration. It is an error if there is none,
// or if the mode is neither live nor ready.
func (h *Handler) Provision(ctx caddy.Context) error {
	if h.Mode != "" && h.Mode != modeLive && h.Mode != modeReady {
		return fmt.Errorf("mode %q: allowed are live, ready", h.Mode)
	}
	app, err := ctx.AppIfConfigured("edge_functions")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("edge_functions_health: the edge_functions global option is missing: it is what is asked")
	}
	if err != nil {
		return err
	}
	h.gateway = app.(Gateway)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return write(w, http.StatusMethodNotAllowed, map[string]string{
			"code":    "METHOD_NOT_ALLOWED",
			"message": "only GET and HEAD are allowed",
		})
	}
	answer := h.gateway.Health()
	status := http.StatusOK
	if !answer.Ready && h.Mode != modeLive {
		status = http.StatusServiceUnavailable
	}
	return write(w, status, answer)
}

// write writes an answer as JSON. net/http leaves the body out if the method is HEAD.
func write(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
	return nil
}

func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	if h.Option("edge_functions") == nil {
		at := *h.Dispenser
		at.Next()
		return nil, at.Errf("edge_functions_health: the global option edge_functions is missing; add `{ edge_functions { ... } }` at the top of the Caddyfile")
	}
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive of a site:
//
//	edge_functions_health [<matcher>] [live|ready]
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		h.Mode = d.Val()
		if h.Mode != modeLive && h.Mode != modeReady {
			return d.Errf("edge_functions_health: unexpected %q; write `edge_functions_health [MATCHER] [live|ready]`", h.Mode)
		}
	}
	if d.NextArg() {
		return d.Errf("edge_functions_health: unexpected %q; write `edge_functions_health [MATCHER] [live|ready]`", d.Val())
	}
	return options.Block(d, options.Table{})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
