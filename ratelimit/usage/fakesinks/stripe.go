package fakesinks

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What Stripe documents of events of meters: https://docs.stripe.com/api/billing/meter-event/create.
const (
	stripeKnows  = 24 * time.Hour      // an identifier, or the key of a call
	stripeTakes  = 35 * 24 * time.Hour // an event of so long ago
	stripeFuture = 5 * time.Minute
)

// Stripe is a fake of Stripe's billing meters.
type Stripe struct {
	Faults

	Key       string
	Window    string          // of the meters: "" or hour
	Meters    []string        // by event name
	Customers map[string]bool // those that exist
	// NoKeys has it forget the keys of calls, so that identifiers alone tell calls
	// apart.
	NoKeys bool

	mu     sync.Mutex // guards all below
	known  map[string]time.Time
	calls  map[string]savedCall
	events []stripeEvent
	errors []map[string]any
	prices map[string]stripePrice // by meter
}

type savedCall struct {
	at     time.Time
	status int
	body   []byte
}

type stripeEvent struct {
	meter, customer string
	at              time.Time
	value           int64
}

// ServeHTTP implements http.Handler.
func (s *Stripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.next()
	if fault == Half {
		fault = Unanswered
	}
	s.answer(w, fault, func(w http.ResponseWriter) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch auth := r.Header.Get("Authorization"); {
		case auth != "Bearer "+s.Key:
			stripeError(w, http.StatusUnauthorized, "Invalid API Key provided")
		case r.Method == http.MethodGet && r.URL.Path == "/v1/billing/meters":
			s.listMeters(w)
		case r.Method == http.MethodPost && r.URL.Path == "/v1/billing/meters":
			s.createMeter(w, r)
		case r.Method == http.MethodPost && r.URL.Path == "/v1/prices":
			s.createPrice(w, r)
		case r.Method == http.MethodPost && r.URL.Path == "/v1/billing/meter_events":
			s.create(w, r)
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/event_summaries"):
			s.summarize(w, r)
		case r.Method == http.MethodGet && r.URL.Path == "/v2/core/events":
			stripeJSON(w, http.StatusOK, map[string]any{"data": s.errors, "next_page_url": nil})
		default:
			stripeError(w, http.StatusNotFound, "Unrecognized request URL ("+r.Method+": "+r.URL.Path+")")
		}
	})
}

func stripeJSON(w http.ResponseWriter, status int, value any) []byte {
	body, _ := json.Marshal(value) // of maps and strings
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return body
}

func stripeError(w http.ResponseWriter, status int, message string) {
	stripeJSON(w, status, map[string]any{"error": map[string]any{"type": "invalid_request_error", "message": message}})
}

func (s *Stripe) listMeters(w http.ResponseWriter) {
	list := make([]any, 0, len(s.Meters))
	for _, name := range s.Meters {
		meter := map[string]any{
			"object": "billing.meter", "id": "mtr_" + name, "event_name": name, "status": "active",
			"default_aggregation": map[string]any{"formula": "sum"},
			"customer_mapping":    map[string]any{"type": "by_id", "event_payload_key": "stripe_customer_id"},
			"value_settings":      map[string]any{"event_payload_key": "value"},
		}
		if s.Window != "" {
			meter["event_time_window"] = s.Window
		}
		list = append(list, meter)
	}
	stripeJSON(w, http.StatusOK, map[string]any{"object": "list", "url": "/v1/billing/meters", "has_more": false, "data": list})
}

// create takes an event. One of an unknown customer is taken too, and reported
// about later.
func (s *Stripe) create(w http.ResponseWriter, r *http.Request) {
	now := s.Now()
	key := r.Header.Get("Idempotency-Key")
	if saved, ok := s.calls[key]; ok && key != "" && !s.NoKeys && now.Sub(saved.at) < stripeKnows {
		w.Header().Set("Idempotent-Replayed", "true")
		w.WriteHeader(saved.status)
		_, _ = w.Write(saved.body)
		return
	}
	if err := r.ParseForm(); err != nil {
		stripeError(w, http.StatusBadRequest, err.Error())
		return
	}
	name, customer, text := r.Form.Get("identifier"), r.Form.Get("payload[stripe_customer_id]"), r.Form.Get("payload[value]")
	value, wrong := strconv.ParseInt(text, 10, 64)
	seconds, wrongTime := strconv.ParseInt(r.Form.Get("timestamp"), 10, 64)
	at := time.Unix(seconds, 0)
	known, again := s.known[name]
	switch {
	case len(name) == 0 || len(name) > 100:
		stripeError(w, http.StatusBadRequest, "Invalid identifier")
		return
	case again && now.Sub(known) < stripeKnows:
		stripeError(w, http.StatusBadRequest, "An event already exists with identifier "+name+".")
		return
	case wrong != nil || wrongTime != nil:
		stripeError(w, http.StatusBadRequest, "The value must be a whole number")
		return
	case now.Sub(at) > stripeTakes, at.Sub(now) > stripeFuture:
		stripeError(w, http.StatusBadRequest, "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future.")
		return
	}
	if s.known == nil {
		s.known, s.calls = make(map[string]time.Time), make(map[string]savedCall)
	}
	s.known[name] = now
	if s.Customers[customer] {
		s.events = append(s.events, stripeEvent{r.Form.Get("event_name"), customer, at, value})
	} else {
		s.report(name, customer)
	}
	body := stripeJSON(w, http.StatusOK, map[string]any{
		"object": "billing.meter_event", "event_name": r.Form.Get("event_name"), "identifier": name, "timestamp": seconds, "created": now.Unix(),
		"livemode": false, "payload": map[string]string{"stripe_customer_id": customer, "value": text},
	})
	s.calls[key] = savedCall{now, http.StatusOK, body}
}

func (s *Stripe) report(name, customer string) {
	now := s.Now().UTC()
	s.errors = append(s.errors, map[string]any{
		"object": "v2.core.event", "id": fmt.Sprintf("evt_%d", len(s.errors)), "type": "v1.billing.meter.error_report_triggered",
		"created": now.Format(time.RFC3339), "livemode": false,
		"related_object": map[string]any{"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
		"data": map[string]any{
			"developer_message_summary": "There is 1 invalid event", "validation_start": now.Format(time.RFC3339), "validation_end": now.Format(time.RFC3339),
			"reason": map[string]any{"error_count": 1, "error_types": []any{map[string]any{
				"code": "meter_event_customer_not_found", "error_count": 1,
				"sample_errors": []any{map[string]any{
					"error_message": "Customer not found for customer " + customer + ".", "request": map[string]any{"identifier": name},
				}},
			}}},
		},
	})
}

// sums adds up the events of a meter that wanted selects.
func (s *Stripe) sums(meter string, wanted func(customer string, at time.Time) bool) int64 {
	type hour struct {
		customer string
		at       int64
	}
	last, total := make(map[hour]int64), int64(0)
	for _, e := range s.events {
		if e.meter != meter || !wanted(e.customer, e.at) {
			continue
		}
		if s.Window == "hour" { // the most recent event of an hour is the one that counts
			last[hour{e.customer, e.at.Truncate(time.Hour).Unix()}] = e.value
			continue
		}
		total += e.value
	}
	for n := range maps.Values(last) {
		total += n
	}
	return total
}

func (s *Stripe) summarize(w http.ResponseWriter, r *http.Request) {
	meter := strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/billing/meters/"), "/event_summaries"), "mtr_")
	q := r.URL.Query()
	start, _ := strconv.ParseInt(q.Get("start_time"), 10, 64)
	end, _ := strconv.ParseInt(q.Get("end_time"), 10, 64)
	if start%60 != 0 || end%60 != 0 || end <= start || q.Get("customer") == "" {
		stripeError(w, http.StatusBadRequest, "start_time and end_time must be aligned with minute boundaries")
		return
	}
	n := s.sums(meter, func(customer string, at time.Time) bool {
		return customer == q.Get("customer") && at.Unix() >= start && at.Unix() < end
	})
	stripeJSON(w, http.StatusOK, map[string]any{"object": "list", "url": r.URL.Path, "has_more": false, "data": []any{map[string]any{
		"object": "billing.meter_event_summary", "id": "mtrusg_1", "meter": "mtr_" + meter, "aggregated_value": float64(n), "start_time": start, "end_time": end,
	}}})
}

// Sum returns the total of a meter for a customer.
func (s *Stripe) Sum(meter, customer string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sums(meter, func(c string, _ time.Time) bool { return c == customer })
}

// Hours returns the total of a meter for a customer by hour, in Unix seconds of its start.
func (s *Stripe) Hours(meter, customer string) map[int64]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	hours := make(map[int64]int64)
	for _, e := range s.events {
		hours[e.at.Truncate(time.Hour).Unix()] = 0
	}
	for hour := range hours {
		hours[hour] = s.sums(meter, func(c string, at time.Time) bool { return c == customer && at.Truncate(time.Hour).Unix() == hour })
	}
	return hours
}
