package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/health"
)

// healthNow answers whether the gateway is ready, with 200 either way: what answers is
// live. Before the first configuration is loaded it is not ready.
func healthNow(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return refuseMethod(w, http.MethodGet)
	}
	if err := checkParameters(r, nil); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	answer := health.Answer{Reasons: []health.Reason{health.Starting}}
	app, err := gateway.Running()
	var refused caddy.APIError
	switch {
	case err == nil:
		answer = app.Health()
	case !errors.As(err, &refused) || refused.HTTPStatus != http.StatusServiceUnavailable:
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

// gatewayDrain answers the drain of this gateway.
func gatewayDrain(app *gateway.App, _ *http.Request) (any, error) {
	return app.GatewayDrain(), nil
}

// drainGateway carries out a health.Order.
func drainGateway(app *gateway.App, r *http.Request) (any, error) {
	var order health.Order
	if _, err := decodeOrder(r, &order); err != nil {
		return nil, fmt.Errorf(`the order is not {"over":"15s","no_stop":false}: %w`, err)
	}
	over := health.DefaultOver
	if order.Over != "" {
		var err error
		if over, err = caddy.ParseDuration(order.Over); err != nil {
			return nil, fmt.Errorf("over %q: must be a duration such as 30s", order.Over)
		}
	}
	return app.DrainGateway(over, order.NoStop)
}

// undrainGateway takes an order to drain this gateway back. Its body is {} or empty.
func undrainGateway(app *gateway.App, _ *http.Request) (any, error) {
	return app.UndrainGateway()
}
