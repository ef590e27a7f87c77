package admin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
)

// listExporters answers how far exporters are.
func listExporters(app *gateway.App, _ *http.Request) (any, error) { return app.Engine().Exporters() }

// push carries out a billing.PushOrder.
func push(app *gateway.App, r *http.Request) (any, error) {
	var order billing.PushOrder
	if _, err := decodeOrder(r, &order); err != nil {
		return nil, fmt.Errorf(`the body must be {"exporter":"NAME","rejected":false}, or "" for all: %w`, err)
	}
	answer, err := app.Engine().Push(r.Context(), order)
	if errors.Is(err, billing.ErrNoExporter) {
		return nil, fmt.Errorf("%w; add `export` to the edge_functions global option", err)
	}
	return answer, err
}
