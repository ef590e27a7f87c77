package webhook_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the example of the convention
	newSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" // nobody's
)

func message(id string) usage.Message {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	line := &usage.Line{LedgerID: "ledger", LineID: id, Region: "eu", AccountID: "acme", Quantity: 5, WindowStart: start}
	return usage.Message{Item: usage.Item{ID: id, Account: "acme", Start: start, Value: 5, Line: line}, Revision: 1, Delta: 5, Tries: 1}
}

// called is one call that arrived.
type called struct {
	header http.Header
	body   string
}

// send sends two messages to an endpoint that answers as told, and returns the calls.
func send(t *testing.T, config webhook.Config, answer func(w http.ResponseWriter, n int)) (calls []called, verdicts []usage.Verdict, err error) {
	t.Helper()
	return sendAll(t, config, []usage.Message{message("a"), message("b")}, answer)
}

func acknowledge(http.ResponseWriter, int) {}

func sendAll(t *testing.T, config webhook.Config, messages []usage.Message, answer func(w http.ResponseWriter, n int)) (calls []called, verdicts []usage.Verdict, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		calls = append(calls, called{r.Header.Clone(), string(body)})
		answer(w, len(calls))
	}))
	defer server.Close()
	config.Title = "hook"
	config.URL = strings.Replace(server.URL, "http://", "http://user:hunter2@", 1) + "/in?token=hunter3"
	s, err := webhook.New(config)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err = s.Send(t.Context(), messages)
	return calls, verdicts, err
}

// Who has the old secret and who has the new one can both check it, and a retry is known by its id.
func TestSignatures(t *testing.T) {
	calls, _, err := send(t, webhook.Config{Secrets: []string{oldSecret, newSecret}, Bearer: "token"}, acknowledge)
	if err != nil || len(calls) != 1 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	for _, secret := range []string{oldSecret, newSecret} {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := hook.Verify([]byte(calls[0].body), calls[0].header); err != nil {
			t.Errorf("%s: %v", secret, err)
		}
	}
	again, _, err := send(t, webhook.Config{Secrets: []string{oldSecret}}, acknowledge)
	if err != nil || again[0].header.Get("Webhook-Id") != calls[0].header.Get("Webhook-Id") || calls[0].header.Get("Webhook-Id") == "" {
		t.Errorf("%q and %q, %v", again[0].header.Get("Webhook-Id"), calls[0].header.Get("Webhook-Id"), err)
	}
	if got := calls[0].header; got.Get("Authorization") != "Bearer token" || got.Get("Content-Type") != "application/cloudevents-batch+json; charset=UTF-8" {
		t.Errorf("%v", got)
	}
	if _, err := webhook.New(webhook.Config{Secrets: []string{"hunter2!"}}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestAnswers(t *testing.T) {
	for status, want := range map[int]struct {
		calls int
		after time.Duration // when to try again; 0: it is not said
		fails string        // "": it does not
	}{
		http.StatusOK:                  {calls: 1},
		http.StatusAccepted:            {calls: 1},
		http.StatusBadRequest:          {calls: 3}, // in halves, until each is refused by itself
		http.StatusMovedPermanently:    {calls: 1, fails: "write its URL"},
		http.StatusUnauthorized:        {calls: 1, fails: "check the secret or the token"},
		http.StatusGone:                {calls: 1, after: time.Hour, fails: "410"},
		http.StatusTooManyRequests:     {calls: 1, after: 7 * time.Second, fails: "429"},
		http.StatusServiceUnavailable:  {calls: 1, after: 7 * time.Second, fails: "503"},
		http.StatusInternalServerError: {calls: 1, fails: "500: out of order"},
		http.StatusBadGateway:          {calls: 1, fails: "502: Bad Gateway"}, // without a text
	} {
		calls, verdicts, err := send(t, webhook.Config{}, func(w http.ResponseWriter, _ int) {
			if want.after > 0 && status != http.StatusGone {
				w.Header().Set("Retry-After", "7")
			}
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
			if status != http.StatusBadGateway {
				_, _ = io.WriteString(w, "out of order")
			}
		})
		retry := (*usage.RetryError)(nil)
		switch {
		case len(calls) != want.calls:
			t.Errorf("%d: %d calls", status, len(calls))
		case want.fails == "" && (err != nil || len(verdicts) != 2):
			t.Errorf("%d: %v, %v", status, verdicts, err)
		case want.fails != "" && (err == nil || !strings.Contains(err.Error(), want.fails) || strings.Contains(err.Error(), "hunter")):
			t.Errorf("%d: %v", status, err)
		case want.after > 0 && (!errors.As(err, &retry) || retry.After != want.after):
			t.Errorf("%d: %v", status, err)
		case status == http.StatusBadRequest && (verdicts[0].Rejected == "" || verdicts[1].Rejected == ""):
			t.Errorf("%d: %v", status, verdicts)
		}
	}
}

// An endpoint that is not there is no reason to show its password.
func TestNobodyThere(t *testing.T) {
	s, err := webhook.New(webhook.Config{Title: "hook", URL: "http://user:hunter2@127.0.0.1:1/in?token=hunter3"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), []usage.Message{message("a")}); err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("%v", err)
	}
}

// What is not known to have arrived for longer than the endpoint remembers is not sent again.
func TestForgotten(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer server.Close()
	s, err := webhook.New(webhook.Config{Title: "hook", URL: server.URL, Remembers: 30 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	forgotten, fresh := message("a"), message("b")
	forgotten.Tries, forgotten.First = 2, time.Now().Add(-31*24*time.Hour)
	verdicts, err := s.Send(t.Context(), []usage.Message{fresh, forgotten, fresh})
	if err != nil || len(verdicts) != 3 || verdicts[0].Rejected != "" || verdicts[1].Rejected == "" || verdicts[2].Rejected != "" || calls != 2 {
		t.Errorf("%+v in %d calls, %v", verdicts, calls, err)
	}
}

// The meter that we ship for OpenMeter reads what events have.
func TestOpenMeterMeter(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "configs", "openmeter", "meter.json"))
	if err != nil {
		t.Fatal(err)
	}
	var meter struct {
		EventType, Aggregation, ValueProperty string
		GroupBy                               map[string]string
	}
	if err := json.Unmarshal(text, &meter); err != nil {
		t.Fatal(err)
	}
	calls, _, err := send(t, webhook.Config{}, acknowledge)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Type string
		Data map[string]any
	}
	if err := json.Unmarshal([]byte(calls[0].body), &events); err != nil {
		t.Fatal(err)
	}
	if meter.EventType != events[0].Type || meter.Aggregation != "SUM" {
		t.Errorf("%+v for events of type %s", meter, events[0].Type)
	}
	for _, path := range append(slices.Collect(maps.Values(meter.GroupBy)), meter.ValueProperty) {
		if _, ok := events[0].Data[strings.TrimPrefix(path, "$.")]; !ok {
			t.Errorf("no event has %s", path)
		}
	}
}
