package gateway

import (
	"errors"
	"iter"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/routing/projects"
)

// Running returns the gateway of the configuration in force. Its errors are
// caddy.APIErrors: 503 while the process starts, 404 without a gateway in the
// configuration. Caddy makes the routes of its admin API before apps, so that they
// call this for each request.
func Running() (*App, error) {
	ctx := caddy.ActiveContext()
	if ctx.Context == nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the gateway is starting")}
	}
	app, err := ctx.AppIfConfigured("edge_functions")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("edge_functions is not configured")}
	}
	return app.(*App), nil
}

// Projects goes through the projects in force.
func (a *App) Projects() iter.Seq[*projects.Project] {
	return func(yield func(*projects.Project) bool) {
		if a.single != nil {
			yield(a.single)
			return
		}
		if snapshot := a.keeper.catalogue.Load(); snapshot != nil {
			snapshot.All()(yield)
		}
	}
}
