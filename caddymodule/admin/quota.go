package admin

import (
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
)

// quota answers how far quotas are used; with ?organization=, that of one organization.
func quota(app *gateway.App, r *http.Request) (any, error) {
	return app.Engine().Quota(r.Context(), r.URL.Query().Get("organization"))
}

// setQuota carries out a billing.QuotaOrder.
func setQuota(app *gateway.App, r *http.Request) (any, error) {
	var order billing.QuotaOrder
	if err := decodeOrder(r, &order); err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","limit":NUMBER}, or null for the configured limit: %w`, err)
	}
	return app.Engine().SetQuota(r.Context(), order)
}
