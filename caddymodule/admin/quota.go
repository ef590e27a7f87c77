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
	switch {
	case err != nil || order.Release != "":
	case has(body, "release"):
		return nil, errors.New("release: must be the id of a gateway, and is empty")
	case !has(body, "limit"):
		err = errors.New("limit is missing")
	}
	if err != nil {
		return nil, fmt.Errorf(`the body must be {"organization":"ID","limit":NUMBER}, or null for the configured limit: %w`, err)
	}
	return app.Engine().SetQuota(r.Context(), order)
}

// has reports whether an order has a field, null included.
func has(body []byte, field string) bool {
	var order map[string]json.RawMessage
	if json.Unmarshal(body, &order) != nil {
		return false
	}
	_, there := order[field]
	return there
}
