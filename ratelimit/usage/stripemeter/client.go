package stripemeter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// defaultURL is the address of Stripe's API.
	defaultURL = "https://api.stripe.com"
	// apiVersion fixes the format of Stripe's answers, whatever the account's default
	// is (https://docs.stripe.com/api/versioning).
	apiVersion = "2026-03-25.dahlia"
	// callWait bounds a call.
	callWait = 20 * time.Second
	// maxBody bounds an answer, in bytes.
	maxBody = 16 << 20
	// maxSaid bounds how much an error quotes of an answer in another format, in bytes.
	maxSaid = 200
)

// client calls the four endpoints of Stripe's API that the service needs. It never
// retries: the outbox does, which knows what may have arrived.
type client struct {
	base string // without a slash at the end
	key  string
	http *http.Client
}

func newClient(base, key string) *client {
	if base == "" {
		base = defaultURL
	}
	return &client{
		base: strings.TrimSuffix(base, "/"),
		key:  key,
		http: &http.Client{
			Timeout: callWait,
			// The key must not reach another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// errorInvalidRequest is the type of errors in the request
// (https://docs.stripe.com/api/errors).
const errorInvalidRequest = "invalid_request_error"

// apiError is an answer with a status of 300 or above.
type apiError struct {
	Status  int    `json:"-"`
	Type    string `json:"type"` // "" where the answer is not in Stripe's format
	Code    string `json:"code"`
	Message string `json:"message"`

	retryAfter string // the header of that name
}

// Error implements error.
func (e *apiError) Error() string {
	said := e.Message
	if said == "" {
		said = http.StatusText(e.Status)
	}
	text := strings.TrimRight(fmt.Sprintf("HTTP %d: %s", e.Status, said), ": ")
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		text += ": check api_key"
	}
	return text
}

// readError returns the error in an answer.
func readError(answer *http.Response, body []byte) *apiError {
	var envelope struct {
		Error *apiError `json:"error"`
	}
	err := json.Unmarshal(body, &envelope)
	e := envelope.Error
	if err != nil || e == nil {
		text := strings.TrimSpace(string(body[:min(len(body), maxSaid)]))
		e = &apiError{Message: strings.ToValidUTF8(text, "?")}
	}
	e.Status, e.retryAfter = answer.StatusCode, answer.Header.Get("Retry-After")
	return e
}

// retriable returns err, as a [usage.RetryError] if Stripe sent a Retry-After header.
func retriable(err error) error {
	if refused, ok := errors.AsType[*apiError](err); ok {
		if after, ok := usage.RetryAfter(refused.retryAfter, time.Now()); ok {
			return &usage.RetryError{After: after, Err: err}
		}
	}
	return err
}

// get sends a GET request and decodes the answer.
func (c *client) get(ctx context.Context, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return err
	}
	return c.call(r, into)
}

// post sends a form. For at least 24 hours, Stripe repeats its answer to calls with
// the same idempotency key (https://docs.stripe.com/api/idempotent_requests).
func (c *client) post(ctx context.Context, path, idempotencyKey string, form url.Values) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Idempotency-Key", idempotencyKey)
	return c.call(r, nil)
}

// call sends a request and decodes the answer into an object, unless that is nil.
// An answer that refuses the request is an [apiError].
func (c *client) call(r *http.Request, into any) error {
	r.Header.Set("Authorization", "Bearer "+c.key)
	r.Header.Set("Stripe-Version", apiVersion)
	r.Header.Set("User-Agent", "edgegate")
	answer, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer: %w", err)
	case answer.StatusCode >= http.StatusMultipleChoices:
		return readError(answer, body)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	return nil
}

// listed is an object in a list. The next page begins after the id of the last one.
type listed interface{ id() string }

// list yields the objects of all pages of a list
// (https://docs.stripe.com/api/pagination), until the first error.
func list[T listed](ctx context.Context, c *client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var page struct {
				Data    []T  `json:"data"`
				HasMore bool `json:"has_more"`
			}
			if err := c.get(ctx, path+"?"+query.Encode(), &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, object := range page.Data {
				if !yield(object, nil) {
					return
				}
			}
			if !page.HasMore || len(page.Data) == 0 {
				return
			}
			query.Set("starting_after", page.Data[len(page.Data)-1].id())
		}
	}
}

// listV2 is list for endpoints under /v2, which name the next page themselves.
func listV2[T any](ctx context.Context, c *client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for strings.HasPrefix(path, "/") { // never a URL of another host
			var page struct {
				Data        []T    `json:"data"`
				NextPageURL string `json:"next_page_url"`
			}
			if err := c.get(ctx, path, &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, object := range page.Data {
				if !yield(object, nil) {
					return
				}
			}
			path = page.NextPageURL
		}
	}
}

// meter is a billing meter (https://docs.stripe.com/api/billing/meter/object).
type meter struct {
	ID                 string `json:"id"`
	EventName          string `json:"event_name"`
	EventTimeWindow    string `json:"event_time_window"` // "", hour or day
	DefaultAggregation struct {
		Formula string `json:"formula"` // sum, count or last
	} `json:"default_aggregation"`
	CustomerMapping struct {
		EventPayloadKey string `json:"event_payload_key"`
	} `json:"customer_mapping"`
	ValueSettings struct {
		EventPayloadKey string `json:"event_payload_key"`
	} `json:"value_settings"`
}

func (m *meter) id() string { return m.ID }

// meters yields the active meters.
func (c *client) meters(ctx context.Context) iter.Seq2[*meter, error] {
	return list[*meter](ctx, c, "/v1/billing/meters", url.Values{"status": {"active"}})
}

// summary is the total of a meter for a customer and a span of time
// (https://docs.stripe.com/api/billing/meter-event-summary/object).
type summary struct {
	ID              string  `json:"id"`
	AggregatedValue float64 `json:"aggregated_value"`
}

func (s *summary) id() string { return s.ID }

// summaries yields the totals of a meter. query selects the customer and the times.
func (c *client) summaries(ctx context.Context, meterID string, query url.Values) iter.Seq2[*summary, error] {
	return list[*summary](ctx, c, "/v1/billing/meters/"+url.PathEscape(meterID)+"/event_summaries", query)
}
