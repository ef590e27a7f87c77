package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions/spelling"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI is the admin endpoint /edge_functions/: what the command line and
// operators ask a running gateway.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.edge_functions",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// adminRoute is the questions and orders of one path, by method.
type adminRoute map[string]func(*App, *http.Request) (any, error)

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	routes := map[string]adminRoute{
		"/edge_functions/status":          {http.MethodGet: func(a *App, _ *http.Request) (any, error) { return a.Status(), nil }},
		"/edge_functions/regions":         {http.MethodGet: func(a *App, _ *http.Request) (any, error) { return RegionsAnswer{a.regionStatus()}, nil }},
		"/edge_functions/explain":         {http.MethodGet: (*App).explain},
		"/edge_functions/projects":        {http.MethodGet: func(a *App, _ *http.Request) (any, error) { return a.listProjects(), nil }},
		"/edge_functions/audit":           {http.MethodGet: (*App).audit},
		"/edge_functions/usage":           {http.MethodGet: (*App).usage},
		"/edge_functions/usage/bill":      {http.MethodGet: (*App).bill},
		"/edge_functions/usage/reconcile": {http.MethodGet: (*App).reconcile},
		"/edge_functions/usage/proof":     {http.MethodGet: (*App).proof},
		"/edge_functions/usage/adjust":    {http.MethodGet: (*App).adjustments, http.MethodPost: (*App).adjust},
		"/edge_functions/usage/exporters": {http.MethodGet: (*App).listExporters, http.MethodPost: (*App).push},
		"/edge_functions/quota":           {http.MethodGet: (*App).quota, http.MethodPost: (*App).setQuota},
		"/edge_functions/drain":           {http.MethodGet: (*App).listDrains, http.MethodPost: (*App).drain},
		"/edge_functions/undrain":         {http.MethodPost: (*App).undrain},
		// It changes nothing, but a token does not belong into a URL.
		"/edge_functions/token": {http.MethodPost: (*App).inspectToken},
	}
	list := make([]caddy.AdminRoute, 0, len(routes))
	for path, route := range routes {
		list = append(list, caddy.AdminRoute{Pattern: path, Handler: adminHandler(route)})
	}
	return append(list, caddy.AdminRoute{Pattern: "/edge_functions/usage/export", Handler: caddy.AdminHandlerFunc(exportHandler)})
}

// adminHandler answers with JSON.
func adminHandler(route adminRoute) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		answer, ok := route[r.Method]
		if !ok {
			allowed := strings.Join(slices.Sorted(maps.Keys(route)), " and ")
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("only %s is allowed", allowed)}
		}
		app, err := Running()
		if err != nil {
			return err
		}
		value, err := answer(app, r)
		if err != nil {
			return caddy.APIError{HTTPStatus: statusOf(err), Err: hinted(err)}
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(value)
	}
}

// maxBillingOrder bounds the body of an order about money, in bytes.
const maxBillingOrder = 1 << 16

// decodeOrder reads the body of an order about money. Fields that the order does not
// have are an error: a typing error must not change another thing than was meant.
func decodeOrder(r *http.Request, order any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBillingOrder))
	decoder.DisallowUnknownFields()
	return decoder.Decode(order)
}

// hinted adds to the error of an unknown name which known one may be meant.
func hinted(err error) error {
	if unknown, ok := errors.AsType[*billing.UnknownError](err); ok {
		return fmt.Errorf("%w%s", err, spelling.DidYouMean(unknown.Name, unknown.Known))
	}
	return err
}

// statusOf is 400 for a question that cannot be answered, 503 for one that cannot
// be answered now: the store is away.
func statusOf(err error) int {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || redisconn.ReplyCode(err) != "" {
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// Interface guards
var _ caddy.AdminRouter = adminAPI{}
