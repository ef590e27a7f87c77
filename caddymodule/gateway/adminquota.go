package gateway

import (
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

// quota answers how far quotas are used; with ?organization=, that of one organization.
func (a *App) quota(r *http.Request) (any, error) {
	return a.engine.Quota(r.Context(), r.URL.Query().Get("organization"))
}

// setQuota carries out a billing.QuotaOrder.
func (a *App) setQuota(r *http.Request) (any, error) {
	var order billing.QuotaOrder
	if err := decodeOrder(r, &order); err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","limit":NUMBER}, or null for the configured limit: %w`, err)
	}
	return a.engine.SetQuota(r.Context(), order)
}
