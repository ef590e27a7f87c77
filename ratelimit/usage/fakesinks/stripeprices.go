package fakesinks

import (
	"net/http"
	"strconv"
	"strings"
)

// stripePrice is a price by packages, each paid as soon as it begins.
type stripePrice struct{ unit, divide int64 }

// createMeter creates a meter as https://docs.stripe.com/api/billing/meter/create
// wants it.
func (s *Stripe) createMeter(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		stripeError(w, http.StatusBadRequest, err.Error())
		return
	}
	name, window := r.Form.Get("event_name"), r.Form.Get("event_time_window")
	switch {
	case name == "", r.Form.Get("display_name") == "", r.Form.Get("default_aggregation[formula]") == "":
		stripeError(w, http.StatusBadRequest, "Missing required param.")
		return
	case window != "" && window != "hour" && window != "day", r.Form.Get("customer_mapping[type]") != "by_id":
		stripeError(w, http.StatusBadRequest, "Invalid param.")
		return
	}
	s.Meters, s.Window = append(s.Meters, name), window
	stripeJSON(w, http.StatusOK, map[string]any{"object": "billing.meter", "id": "mtr_" + name, "event_name": name})
}

// createPrice makes a metered price, https://docs.stripe.com/api/prices/create.
func (s *Stripe) createPrice(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		stripeError(w, http.StatusBadRequest, err.Error())
		return
	}
	unit, wrong := strconv.ParseInt(r.Form.Get("unit_amount"), 10, 64)
	divide, wrongToo := strconv.ParseInt(r.Form.Get("transform_quantity[divide_by]"), 10, 64)
	meter, isMeter := strings.CutPrefix(r.Form.Get("recurring[meter]"), "mtr_")
	if wrong != nil || wrongToo != nil || !isMeter || divide < 1 || r.Form.Get("transform_quantity[round]") != "up" ||
		r.Form.Get("recurring[usage_type]") != "metered" || r.Form.Get("billing_scheme") == "tiered" || r.Form.Get("currency") == "" {
		stripeError(w, http.StatusBadRequest, "Invalid price.")
		return
	}
	if s.prices == nil {
		s.prices = make(map[string]stripePrice)
	}
	s.prices[meter] = stripePrice{unit, divide}
	stripeJSON(w, http.StatusOK, map[string]any{"object": "price", "id": "price_" + meter})
}

// Invoice returns what a customer owes by the meters that have prices, in the
// smallest unit of the currency.
func (s *Stripe) Invoice(customer string) (amount int64) {
	s.mu.Lock()
	prices := s.prices
	s.mu.Unlock()
	for meter, p := range prices {
		n := max(0, s.Sum(meter, customer))
		amount += (n + p.divide - 1) / p.divide * p.unit
	}
	return amount
}
