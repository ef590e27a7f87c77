package admin

import (
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

// bill answers what organizations have to pay.
func bill(app *gateway.App, r *http.Request) (any, error) {
	q, err := billingQuery(r)
	if err != nil {
		return nil, err
	}
	return app.Engine().Bill(r.Context(), q)
}
