package admin

import (
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

// proof answers which records the line item ?line= is made of.
func proof(app *gateway.App, r *http.Request) (any, error) {
	return app.Engine().Proof(r.Context(), r.URL.Query().Get("line"))
}
