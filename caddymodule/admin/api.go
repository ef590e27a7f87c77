package admin

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

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions/spelling"
)

func init() {
	caddy.RegisterModule(new(API))
}

// handler answers a question, or carries out an order, of one path and method. The
// answer is sent as JSON. An error is answered 503 if the store is away and 400
// otherwise.
type handler func(app *gateway.App, r *http.Request) (answer any, err error)

// endpoints are the handlers by path below /edge_functions/ and method. An endpoint is
// added by a row.
var endpoints = map[string]map[string]handler{
	"status":          {http.MethodGet: status},
	"regions":         {http.MethodGet: listRegions},
	"explain":         {http.MethodGet: explain},
	"projects":        {http.MethodGet: listProjects},
	"audit":           {http.MethodGet: auditNow},
	"drain":           {http.MethodGet: listDrains, http.MethodPost: drain},
	"undrain":         {http.MethodPost: undrain},
	"token":           {http.MethodPost: inspectToken}, // it changes nothing, but a token does not belong into a URL
	"quota":           {http.MethodGet: quota, http.MethodPost: setQuota},
	"usage":           {http.MethodGet: usedBy},
	"usage/bill":      {http.MethodGet: bill},
	"usage/reconcile": {http.MethodGet: reconcile},
	"usage/proof":     {http.MethodGet: proof},
	"usage/adjust":    {http.MethodGet: adjustments, http.MethodPost: adjust},
	"usage/exporters": {http.MethodGet: listExporters, http.MethodPost: push},
}

// streams are the endpoints whose answers are not JSON, by path below
// /edge_functions/.
var streams = map[string]caddy.AdminHandlerFunc{
	"usage/export": export,
}

// API is the part of Caddy's admin API that is about the gateway.
type API struct{}

// CaddyModule returns the Caddy module information.
func (*API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.edge_functions",
		New: func() caddy.Module { return new(API) },
	}
}

// Routes implements caddy.AdminRouter.
func (*API) Routes() []caddy.AdminRoute {
	list := make([]caddy.AdminRoute, 0, len(endpoints)+len(streams))
	for path, methods := range endpoints {
		list = append(list, caddy.AdminRoute{Pattern: "/edge_functions/" + path, Handler: answered(methods)})
	}
	for path, stream := range streams {
		list = append(list, caddy.AdminRoute{Pattern: "/edge_functions/" + path, Handler: stream})
	}
	return list
}

// answered serves a path.
func answered(methods map[string]handler) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		answer, ok := methods[r.Method]
		if !ok {
			allowed := strings.Join(slices.Sorted(maps.Keys(methods)), " and ")
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("only %s is allowed", allowed)}
		}
		app, err := gateway.Running()
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

// statusOf returns the status of an error: 400 for a question that cannot be answered,
// 503 for one that cannot be answered now, since the store is away.
func statusOf(err error) int {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || redisconn.ReplyCode(err) != "" {
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// Interface guards
var _ caddy.AdminRouter = (*API)(nil)
