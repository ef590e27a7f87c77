package admin

import (
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

// listDrains answers the drains in force.
func listDrains(app *gateway.App, _ *http.Request) (any, error) { return app.Drains(), nil }

// drain carries out a gateway.DrainOrder.
func drain(app *gateway.App, r *http.Request) (any, error) {
	order, err := readDrainOrder(r)
	if err != nil {
		return nil, err
	}
	return app.Drain(r.Context(), order)
}

// undrain takes back a gateway.DrainOrder.
func undrain(app *gateway.App, r *http.Request) (any, error) {
	order, err := readDrainOrder(r)
	if err != nil {
		return nil, err
	}
	return app.Undrain(r.Context(), order)
}

func readDrainOrder(r *http.Request) (order gateway.DrainOrder, err error) {
	if _, err := decodeOrder(r, &order); err != nil {
		return order, fmt.Errorf(`the order is not {"region":R,"over":"5m","dry_run":false,"last_resort":false}: %w`, err)
	}
	return order, nil
}
