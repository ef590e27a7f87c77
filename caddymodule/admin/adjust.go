package admin

import (
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
)

// adjustments answers the adjustments in this gateway's ledger.
func adjustments(app *gateway.App, r *http.Request) (any, error) {
	q, err := billingQuery(r)
	if err != nil {
		return nil, err
	}
	return app.Engine().Adjustments(q)
}

// adjust carries out a billing.AdjustOrder.
func adjust(app *gateway.App, r *http.Request) (any, error) {
	var order billing.AdjustOrder
	if _, err := decodeOrder(r, &order); err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","units":NUMBER,"project":"REF","function":"SLUG","region":"NAME","reason":"...","operator":"..."}: %w`, err)
	}
	return app.Engine().Adjust(r.Context(), order)
}
