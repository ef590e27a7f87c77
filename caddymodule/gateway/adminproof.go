package gateway

import "net/http"

// proof answers which records the line item ?line= is made of.
func (a *App) proof(r *http.Request) (any, error) {
	return a.engine.Proof(r.Context(), r.URL.Query().Get("line"))
}
