package admin

import (
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

// status answers how the gateway is.
func status(app *gateway.App, _ *http.Request) (any, error) { return app.Status(), nil }

// listRegions answers the regions as this gateway sees them.
func listRegions(app *gateway.App, _ *http.Request) (any, error) {
	return gateway.RegionsAnswer{Regions: app.RegionStatus()}, nil
}
