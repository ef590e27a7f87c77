package fakesinks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Receiver is a fake of a service that takes batches of CloudEvents: OpenMeter's
// ingestion (https://openmeter.io/docs), or a webhook.
type Receiver struct {
	Faults

	Path   string        // of the endpoint
	Secret string        // of Standard Webhooks; "": signatures are not looked at
	Token  string        // "": anybody may send
	Knows  time.Duration // how long it recognizes events; 0: for ever
	Poison func(line map[string]any) bool

	mu    sync.Mutex // guards all below
	seen  map[string]time.Time
	added map[string]int64 // quantity deltas, added up by subject
	paid  map[string]int64 // deltas of amounts
	lines map[string]map[string]any
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	fault := r.next()
	r.answer(w, fault, func(w http.ResponseWriter) {
		body, err := io.ReadAll(q.Body)
		events, against := r.read(q, body, err)
		if against != "" {
			status := http.StatusBadRequest
			if against == errToken {
				status = http.StatusUnauthorized
			}
			http.Error(w, against, status)
			return
		}
		r.shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		if fault == Half {
			r.take(events[:len(events)/2])
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.take(events)
		w.WriteHeader(http.StatusNoContent)
	})
}

const errToken = "unauthorized"

// read checks a call as those services do and returns its events.
func (r *Receiver) read(q *http.Request, body []byte, err error) ([]cloudEvent, string) {
	switch {
	case err != nil:
		return nil, err.Error()
	case q.Method != http.MethodPost || q.URL.Path != r.Path:
		return nil, "there is nothing here"
	case !strings.HasPrefix(q.Header.Get("Content-Type"), "application/cloudevents-batch+json"):
		return nil, "the content type must be application/cloudevents-batch+json"
	case r.Token != "" && q.Header.Get("Authorization") != "Bearer "+r.Token:
		return nil, errToken
	}
	if r.Secret != "" {
		hook, err := standardwebhooks.NewWebhook(r.Secret)
		if err == nil {
			err = hook.VerifyIgnoringTimestamp(body, q.Header)
		}
		if err != nil {
			return nil, err.Error()
		}
	}
	var events []cloudEvent
	if err := json.Unmarshal(body, &events); err != nil {
		return nil, err.Error()
	}
	for i := range events {
		if err := events[i].validate(); err != nil {
			return nil, err.Error()
		}
		if r.Poison != nil && r.Poison(events[i].Data) {
			return nil, fmt.Sprintf("the event %s is not valid", events[i].ID)
		}
	}
	return events, ""
}

func (r *Receiver) take(events []cloudEvent) {
	now := r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen, r.lines = make(map[string]time.Time), make(map[string]map[string]any)
		r.added, r.paid = make(map[string]int64), make(map[string]int64)
	}
	for i := range events {
		e := &events[i]
		name := e.Source + " " + e.ID
		if at, again := r.seen[name]; again && (r.Knows == 0 || now.Sub(at) < r.Knows) {
			continue
		}
		r.seen[name] = now
		line := e.Data
		r.added[e.subject()] += whole(line["quantity_delta"])
		r.paid[e.subject()] += whole(line["amount_minor_delta"])
		id, _ := line["line_id"].(string)
		if whole(line["revision"]) >= whole(r.lines[id]["revision"]) {
			r.lines[id] = line
		}
	}
}

func whole(v any) int64 {
	f, _ := v.(float64)
	return int64(f)
}

// Added returns the sum of all quantity deltas of an account.
func (r *Receiver) Added(account string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.added[account]
}

// Paid returns the sum of all deltas of amounts of an account, in whatever currencies.
func (r *Receiver) Paid(account string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paid[account]
}

// Latest adds up the latest revisions of the lines of an account.
func (r *Receiver) Latest(account string) (quantity, amount int64, lines int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l["account_id"] == account {
			quantity += whole(l["quantity"])
			amount += whole(l["amount_minor"])
			lines++
		}
	}
	return quantity, amount, lines
}
