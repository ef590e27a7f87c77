package admin

import (
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

// verify answers what is damaged in the files of the ledger.
func verify(app *gateway.App, _ *http.Request) (any, error) { return app.Engine().Verify() }
