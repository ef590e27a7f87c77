package gateway

import "net/http"

// bill answers what organizations have to pay.
func (a *App) bill(r *http.Request) (any, error) {
	q, err := billingQuery(r)
	if err != nil {
		return nil, err
	}
	return a.engine.Bill(r.Context(), q)
}
