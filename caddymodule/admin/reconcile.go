package admin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
)

// reconcile answers a comparison of all counts of what was used; with ?against=stripe
// also with what Stripe says it has.
func reconcile(app *gateway.App, r *http.Request) (any, error) {
	q, err := billingQuery(r)
	if err != nil {
		return nil, err
	}
	answer, err := app.Engine().Reconcile(r.Context(), billing.ReconcileQuery{Query: q, Against: r.URL.Query().Get("against")})
	if unknown, ok := errors.AsType[*billing.UnknownError](err); ok && unknown.What == "against" {
		return nil, againstNothing(unknown)
	}
	return answer, err
}

// stripeForm shows the exporter that ?against=stripe needs.
const stripeForm = "export stripe { api_key {env.STRIPE_KEY} meter edge_invocations }"

// againstNothing returns the error of an ?against= that no exporter answers.
func againstNothing(unknown *billing.UnknownError) error {
	const stripe = "stripe"
	if unknown.Name == stripe {
		return errors.New("against stripe: there is no exporter to Stripe; add `" + stripeForm + "` to the edge_functions global option")
	}
	allowed := append(slices.Clone(unknown.Known), stripe)
	slices.Sort(allowed)
	return fmt.Errorf("against %q: allowed is %s", unknown.Name, strings.Join(slices.Compact(allowed), ", "))
}
