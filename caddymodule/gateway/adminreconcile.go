package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

// reconcile answers a comparison of all counts of what was used; with ?against=stripe
// also with what Stripe says it has.
func (a *App) reconcile(r *http.Request) (any, error) {
	q, err := billingQuery(r)
	if err != nil {
		return nil, err
	}
	answer, err := a.engine.Reconcile(r.Context(), billing.ReconcileQuery{Query: q, Against: r.URL.Query().Get("against")})
	if unknown, ok := errors.AsType[*billing.UnknownError](err); ok && unknown.What == "against" {
		return nil, againstNothing(unknown)
	}
	return answer, err
}

// againstNothing returns the error of an ?against= that no exporter answers.
func againstNothing(unknown *billing.UnknownError) error {
	const stripe = "stripe"
	if unknown.Name == stripe {
		return errors.New("against stripe: there is no exporter to Stripe; add `" + exportStripeForm + "` to the edge_functions global option")
	}
	allowed := append(slices.Clone(unknown.Known), stripe)
	slices.Sort(allowed)
	return fmt.Errorf("against %q: allowed is %s", unknown.Name, strings.Join(slices.Compact(allowed), ", "))
}
