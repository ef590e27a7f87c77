package stripemeter_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sentHeaders are those that decide how Stripe understands a call.
var sentHeaders = []string{"Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version"}

// wire answers calls from a list and writes down what was asked.
type wire struct {
	log     bytes.Buffer
	answers map[string][]string // by method and path
}

func (s *wire) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // the client waits for an answer in any case
	fmt.Fprintf(&s.log, "%s %s\n", r.Method, r.URL.Path)
	for _, name := range sentHeaders {
		if v := r.Header.Get(name); v != "" && (name != "Content-Type" || r.Method == http.MethodPost) {
			fmt.Fprintf(&s.log, "%s: %s\n", name, v)
		}
	}
	for _, form := range []string{r.URL.RawQuery, string(body)} {
		values, err := url.ParseQuery(form)
		if err != nil {
			fmt.Fprintf(&s.log, "%v\n", err)
		}
		for _, name := range slices.Sorted(maps.Keys(values)) { // their order means nothing
			fmt.Fprintf(&s.log, "%s = %q\n", name, values[name])
		}
	}
	s.log.WriteByte('\n')
	of := r.Method + " " + r.URL.Path
	if len(s.answers[of]) == 0 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	_, _ = io.WriteString(w, s.answers[of][0])
	s.answers[of] = s.answers[of][1:]
}

const (
	meterPage1 = `{"object":"list","url":"/v1/billing/meters","has_more":true,"data":[{"object":"billing.meter","id":"mtr_other","event_name":"other",
		"default_aggregation":{"formula":"count"}}]}`
	meterPage2 = `{"object":"list","url":"/v1/billing/meters","has_more":false,"data":[{"object":"billing.meter","id":"mtr_edge","event_name":"edge",
		"default_aggregation":{"formula":"sum"},"customer_mapping":{"type":"by_id","event_payload_key":"stripe_customer_id"},"value_settings":{"event_payload_key":"value"}}]}`
	summaryPage1 = `{"object":"list","url":"/v1/billing/meters/mtr_edge/event_summaries","has_more":true,"data":[{"object":"billing.meter_event_summary","id":"sum_1","aggregated_value":4}]}`
	summaryPage2 = `{"object":"list","url":"/v1/billing/meters/mtr_edge/event_summaries","has_more":false,"data":[{"object":"billing.meter_event_summary","id":"sum_2","aggregated_value":3.0}]}`
	eventPage1   = `{"data":[{"object":"v2.core.event","id":"evt_1","type":"v1.billing.meter.error_report_triggered","created":"2026-11-30T00:00:00Z","livemode":false,
		"related_object":{"id":"mtr_edge","type":"billing.meter","url":"/v1/billing/meters/mtr_edge"},
		"data":{"developer_message_summary":"There is 1 invalid event","validation_start":"2026-11-30T00:00:00Z","validation_end":"2026-11-30T00:00:10Z",
		"reason":{"error_count":1,"error_types":[{"code":"meter_event_customer_not_found","error_count":1,
		"sample_errors":[{"error_message":"Customer not found.","request":{"identifier":"gw-1-r1"}}]}]}}}],
		"next_page_url":"/v2/core/events?page=page_2&types%5B0%5D=v1.billing.meter.error_report_triggered"}`
	eventPage2 = `{"data":[{"object":"v2.core.event","id":"evt_2","type":"v1.billing.meter.no_meter_found","created":"2026-11-29T23:00:00.000Z","livemode":false,
		"data":{"developer_message_summary":"There is 1 invalid event","validation_start":"2026-11-30T00:00:00Z","validation_end":"2026-11-30T00:00:10Z",
		"reason":{"error_count":1,"error_types":[{"code":"no_meter","error_count":1,
		"sample_errors":[{"error_message":"No meter.","request":{"identifier":"gw-2-r1"}}]}]}}},
		{"object":"v2.core.event","id":"evt_0","type":"v1.billing.meter.no_meter_found","created":"2026-11-01T00:00:00Z","livemode":false,
		"data":{"developer_message_summary":"It is old","validation_start":"2026-11-01T00:00:00Z","validation_end":"2026-11-01T00:00:10Z",
		"reason":{"error_count":1,"error_types":[{"code":"no_meter","error_count":1,
		"sample_errors":[{"error_message":"No meter.","request":{"identifier":"gw-3-r1"}}]}]}}}],
		"next_page_url":null}`
)

// TestWire pins what Stripe is asked, page by page, and that all pages count.
func TestWire(t *testing.T) {
	s := &wire{answers: map[string][]string{
		"GET /v1/billing/meters":                          {meterPage1, meterPage2},
		"GET /v1/billing/meters/mtr_edge/event_summaries": {summaryPage1, summaryPage2},
		"POST /v1/billing/meter_events":                   {`{"object":"billing.meter_event","identifier":"gw-1-r1"}`},
		"GET /v2/core/events":                             {eventPage1, eventPage2},
	}}
	server := httptest.NewServer(s)
	defer server.Close()
	now := time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC)
	start := time.Date(2026, 11, 29, 13, 30, 30, 0, time.UTC)
	service := newService(server.URL+"/", func() time.Time { return now })
	if err := service.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	item := usage.Item{ID: "1", Meter: "edge", Account: "acme & sons", Start: start, End: start.Add(time.Hour), Value: 7}
	verdicts, err := service.Send(t.Context(), []usage.Message{{Item: item, Revision: 1, Delta: -7, First: now, Tries: 1}})
	if err != nil || len(verdicts) != 1 || verdicts[0] != (usage.Verdict{}) {
		t.Errorf("%+v, %v", verdicts, err)
	}
	has, known, err := service.Sum(t.Context(), usage.SumQuery{Meter: "edge", Organization: "acme & sons", Start: start, End: start.Add(time.Hour)})
	if has != 7 || !known || err != nil {
		t.Errorf("%d, %v, %v", has, known, err)
	}
	rejections, err := service.Rejections(t.Context())
	want := []usage.Rejection{
		{Message: "gw-1-r1", Reason: "meter_event_customer_not_found: Customer not found."},
		{Message: "gw-2-r1", Reason: "no_meter: No meter."},
	}
	if err != nil || !slices.Equal(rejections, want) {
		t.Errorf("%+v, %v", rejections, err)
	}
	golden := filepath.Join("testdata", "wire.txt")
	if *update {
		if err := os.WriteFile(golden, s.log.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, s.log.Bytes()) {
		t.Errorf("%s\nwant\n%s", s.log.Bytes(), text)
	}
}

func newService(base string, now func() time.Time) *stripemeter.Service {
	return stripemeter.New(stripemeter.Config{
		Key:       key,
		Meter:     "edge",
		URL:       base,
		Now:       now,
		Customers: func() map[string]string { return map[string]string{"acme & sons": "cus_acme"} },
	})
}

// TestAnswers: which answers reject an event, which mean that Stripe has it, and which make the outbox try again.
func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		status   int
		body     string
		rejected string
		fails    string
		after    time.Duration
	}{
		"taken":       {status: 200, body: `{"object":"billing.meter_event"}`},
		"known":       {status: 400, body: `{"error":{"type":"invalid_request_error","message":"An event already exists with identifier gw-1-r1."}}`},
		"known, code": {status: 400, body: `{"error":{"type":"invalid_request_error","code":"duplicate_meter_event","message":"x"}}`},
		"bad value":   {status: 400, body: `{"error":{"type":"invalid_request_error","message":"bad value"}}`, rejected: "bad value"},
		"gone":        {status: 404, body: `{"error":{"type":"invalid_request_error","message":"no such meter"}}`, rejected: "no such meter"},
		"idempotency": {status: 400, body: `{"error":{"type":"idempotency_error","message":"other parameters"}}`, fails: "HTTP 400: other parameters"},
		"key":         {status: 401, body: `{"error":{"type":"invalid_request_error","message":"Invalid API Key"}}`, fails: "HTTP 401: Invalid API Key: check api_key"},
		"busy":        {status: 429, body: `{"error":{"type":"invalid_request_error","message":"slow down"}}`, fails: "HTTP 429: slow down", after: 7 * time.Second},
		"not Stripe":  {status: 404, body: "<html>no such page</html>", fails: "HTTP 404: <html>no such page</html>"},
		"moved":       {status: 302, body: "", fails: "HTTP 302"},
		"proxy":       {status: 503, body: "", fails: "HTTP 503", after: 7 * time.Second},
		"broken":      {status: 500, body: `{"error":{"type":"api_error","message":"sorry"}}`, fails: "HTTP 500: sorry", after: 7 * time.Second},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, meterPage2)
				return
			}
			if tc.after > 0 {
				w.Header().Set("Retry-After", "7")
			}
			w.Header().Set("Location", "/v1/billing/meters")
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
		}))
		now := time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC)
		s := newService(server.URL, func() time.Time { return now })
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		item := usage.Item{ID: "1", Meter: "edge", Account: "acme & sons", Start: now.Add(-2 * time.Hour), End: now.Add(-time.Hour), Value: 7}
		verdicts, err := s.Send(t.Context(), []usage.Message{{Item: item, Revision: 1, Delta: 7, First: now, Tries: 1}})
		retry := (*usage.RetryError)(nil)
		switch {
		case tc.fails == "" && (err != nil || len(verdicts) != 1 || verdicts[0] != usage.Verdict{Rejected: tc.rejected}):
			t.Errorf("%s: %+v, %v", name, verdicts, err)
		case tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails) || len(verdicts) != 0):
			t.Errorf("%s: %+v, %v", name, verdicts, err)
		case tc.after > 0 && (!errors.As(err, &retry) || retry.After != tc.after):
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

// TestOtherHosts: the key is sent to Stripe's host alone, whatever an answer names as the next page.
func TestOtherHosts(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"data":[],"next_page_url":%q}`, other.URL+"/v2/core/events?page=2")
	}))
	defer server.Close()
	if rejections, err := newService(server.URL, time.Now).Rejections(t.Context()); err != nil || len(rejections) != 0 || asked != 0 {
		t.Errorf("%v, %v, %d calls elsewhere", rejections, err, asked)
	}
}

// TestNoAnswer: an answer that cannot be read is an error that the outbox tries again.
func TestNoAnswer(t *testing.T) {
	for _, body := range []string{"{", `{"data":[{"id":`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		s := newService(server.URL, time.Now)
		if err := s.Prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "listing the meters: decoding the answer") {
			t.Errorf("%v", err)
		}
		if _, err := s.Rejections(t.Context()); err == nil || !strings.Contains(err.Error(), "decoding the answer") {
			t.Errorf("%v", err)
		}
		server.Close()
		if err := s.Prepare(t.Context()); err == nil {
			t.Error("a server that is gone answered")
		}
	}
}
