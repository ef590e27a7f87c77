package admin

import (
	"encoding/json"
	"errors"
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
	body, err := decodeOrder(r, &order)
	if err == nil && order.Release == "" && !hasLimit(body) {
		err = errors.New("limit is missing")
	}
	if err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","limit":NUMBER}, or null for the configured limit: %w`, err)
	}
	return app.Engine().SetQuota(r.Context(), order)
}

// hasLimit reports whether an order has a limit, null included.
func hasLimit(body []byte) bool {
	var order struct {
		Limit json.RawMessage `json:"limit"`
	}
	return json.Unmarshal(body, &order) == nil && order.Limit != nil
}
