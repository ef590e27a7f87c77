package gateway

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

// reconcile compares the accounts of what was used with each other, from the
// records to the lines of the bills.
func (a *App) reconcile(r *http.Request) (any, error) {
	month, err := monthOf(r)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	answer, err := a.engine.Reconcile(r.Context(), &billing.ReconcileQuery{
		Query:   billing.Query{Organization: query.Get("organization"), Month: month},
		Against: query.Get("against"),
	})
	if errors.Is(err, billing.ErrNoStripe) {
		return nil, fmt.Errorf("%w; add `%s` to the edge_functions global option", err, exportStripeForm)
	}
	return answer, err
}
