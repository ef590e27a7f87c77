package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/spelling"
)

func init() {
	caddy.RegisterModule(new(API))
}

// handler answers a question, or carries out an order, of one path and method. The
// answer is sent as JSON. An error is answered 503 if the store is away and 400
// otherwise.
type handler func(app *gateway.App, r *http.Request) (answer any, err error)

// endpoint is a handler and the query parameters that it reads. All others are an
// error: a misspelt one must not widen a question in silence.
type endpoint struct {
	answer     handler
	parameters []string
}

// endpoints are the endpoints by path below /edge_functions/ and method. One is added
// by a row.
var endpoints = map[string]map[string]endpoint{
	"status":          {http.MethodGet: {answer: status}},
	"regions":         {http.MethodGet: {answer: listRegions}},
	"explain":         {http.MethodGet: {explain, []string{"region", "from", "down", "load", "project", "request_id", "at"}}},
	"top":             {http.MethodGet: {topOf, topParameters}},
	"projects":        {http.MethodGet: {answer: listProjects}},
	"audit":           {http.MethodGet: {answer: auditNow}},
	"drain":           {http.MethodGet: {answer: listDrains}, http.MethodPost: {answer: drain}},
	"drain/gateway":   {http.MethodGet: {answer: gatewayDrain}, http.MethodPost: {answer: drainGateway}},
	"undrain":         {http.MethodPost: {answer: undrain}},
	"undrain/gateway": {http.MethodPost: {answer: undrainGateway}},
	"token":           {http.MethodPost: {answer: inspectToken}}, // it changes nothing, but a token does not belong into a URL
	"quota":           {http.MethodGet: {quota, []string{"organization"}}, http.MethodPost: {answer: setQuota}},
	"usage":           {http.MethodGet: {usedBy, []string{"period", "organization", "daily"}}},
	"usage/bill":      {http.MethodGet: {bill, []string{"period", "organization"}}},
	"usage/reconcile": {http.MethodGet: {reconcile, []string{"period", "organization", "against"}}},
	"usage/verify":    {http.MethodGet: {answer: verify}},
	"usage/proof":     {http.MethodGet: {proof, []string{"line"}}},
	"usage/adjust":    {http.MethodGet: {adjustments, []string{"period", "organization"}}, http.MethodPost: {answer: adjust}},
	"usage/exporters": {http.MethodGet: {answer: listExporters}, http.MethodPost: {answer: push}},
}

// refuseMethod answers a request whose method is none of those allowed.
func refuseMethod(w http.ResponseWriter, allowed ...string) error {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	verb := "is"
	if len(allowed) > 1 {
		verb = "are"
	}
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("only %s %s allowed", strings.Join(allowed, " and "), verb)}
}

// checkParameters returns an error if a request has a query parameter that is not
// allowed.
func checkParameters(r *http.Request, allowed []string) error {
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		switch {
		case slices.Contains(allowed, name):
		case len(allowed) == 0:
			return fmt.Errorf("parameter %q: none is allowed", name)
		default:
			return fmt.Errorf("parameter %q: allowed are %s%s", name, strings.Join(allowed, ", "), spelling.DidYouMean(name, allowed))
		}
	}
	return nil
}

// streams are the endpoints whose answers are not one JSON value, or not always, or that
// also answer while no configuration is loaded, by path below /edge_functions/.
var streams = map[string]caddy.AdminHandlerFunc{
	"invocations":  listInvocations,
	"usage/export": export,
	"health":       healthNow,
	"events":       listEvents,
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
	return append(list, caddy.AdminRoute{Pattern: regions.DefaultHealthURI, Handler: caddy.AdminHandlerFunc(answerOwnProbe)})
}

// answerOwnProbe answers the gateway's own probes, and nobody else: the admin API is no
// backend, by whatever address it was found.
func answerOwnProbe(w http.ResponseWriter, r *http.Request) error {
	if regions.AnswerOwnProbe(w, r) {
		return nil
	}
	return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("there is nothing here")}
}

// answered serves a path.
func answered(methods map[string]endpoint) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		found, ok := methods[r.Method]
		if !ok {
			return refuseMethod(w, slices.Sorted(maps.Keys(methods))...)
		}
		if err := checkParameters(r, found.parameters); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
		app, err := gateway.Running()
		if err != nil {
			return err
		}
		value, err := found.answer(app, r)
		if err != nil {
			return caddy.APIError{HTTPStatus: statusOf(err), Err: hinted(app, err)}
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(value)
	}
}

// hinted adds to the error of an unknown name which known one may be meant, and to that of
// a store that is away which one it is, and what to do.
func hinted(app *gateway.App, err error) error {
	if shared := app.Engine().Shared(); shared != nil && statusOf(err) == http.StatusServiceUnavailable {
		return fmt.Errorf("the store %s does not answer, or refuses: %w; look after Redis, and ask again once `edgegate status` says that it is up", shared.URL(), err)
	}
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
