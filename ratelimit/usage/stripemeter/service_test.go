package stripemeter_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
)

const key = "sk_test_fake"

// post sends a file of configs as curl -d @FILE does: without its line ends.
func post(t *testing.T, url, file, more string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "configs", "stripe", file))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(strings.ReplaceAll(string(text), "\n", "")+more))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", file, res.StatusCode)
	}
}

// Contract 7.4: with the meters and the price that docs/billing.md sets up, Stripe's invoices are our bills.
func TestSetUp(t *testing.T) {
	for used, want := range map[int64]int64{1_800_000: 0, 2_000_000: 0, 2_000_001: 200, 2_999_999: 200, 3_000_000: 200, 3_000_001: 400, 3_400_000: 400, 3_500_000: 400} {
		fake := &fakesinks.Stripe{Key: key, Customers: map[string]bool{"cus_acme": true}}
		server := httptest.NewServer(fake)
		post(t, server.URL+"/v1/billing/meters", "meter-invocations.form", "")
		post(t, server.URL+"/v1/billing/meters", "meter-overage.form", "")
		post(t, server.URL+"/v1/prices", "price-overage.form", "&recurring[meter]=mtr_edge_invocations_overage")
		start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		fake.Set(start.AddDate(0, 0, 12))
		store := usage.NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger")
		var sums []usage.Sum
		for day := range int64(10) {
			n := used / 10
			if day == 9 {
				n = used - 9*(used/10)
			}
			at := start.AddDate(0, 0, int(day))
			sums = append(sums, usage.Sum{
				Key:     usage.Key{Organization: "acme", Period: "2026-11", Start: at, End: at.Add(time.Hour), Project: "p", Function: "f", Region: "eu"},
				Sources: []usage.Source{{Instance: "one", First: 1, Invocations: n, Completed: n}},
			})
		}
		pro := usage.Price{Plan: "pro", Included: 2_000_000, Package: 1_000_000, Minor: 200, Currency: "USD"}
		_, err := store.Update(usage.UpdateInput{
			Now:      fake.Now(),
			Sums:     sums,
			Price:    func(string) (usage.Price, bool) { return pro, true },
			Complete: func(time.Time) bool { return true },
		})
		if err != nil {
			t.Fatal(err)
		}
		s := stripemeter.New(stripemeter.Config{
			Key: key, Meter: "edge_invocations", Overage: "edge_invocations_overage", URL: server.URL, Now: fake.Now,
			Customers: func() map[string]string { return map[string]string{"acme": "cus_acme"} },
		})
		o := &usage.Outbox{Store: store, Pages: store.Pages(), Now: fake.Now}
		if _, err := o.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		billed := int64(0)
		for l, err := range store.Lines(func(string, string) bool { return true }) {
			if err != nil {
				t.Fatal(err)
			}
			billed += l.AmountMinor
		}
		if got := fake.Invoice("cus_acme"); got != want || billed != want || fake.Sum("edge_invocations", "cus_acme") != used {
			t.Errorf("%d invocations: Stripe asks for %d, the bill is %d, want %d", used, got, billed, want)
		}
		server.Close()
	}
}

// What is wrong with meters and keys is said before anything is sent.
func TestPrepare(t *testing.T) {
	for name, tc := range map[string]struct {
		key    string
		meters []string
		window string
		want   string
	}{
		"no meter":   {key, nil, "", `there is no active meter with the event name "edge"`},
		"a day":      {key, []string{"edge"}, "day", "event time window"},
		"wrong key":  {"sk_test_other", []string{"edge"}, "", "check api_key"},
		"no overage": {key, []string{"edge"}, "hour", `"edge_overage"`},
	} {
		fake := &fakesinks.Stripe{Key: key, Meters: tc.meters, Window: tc.window}
		server := httptest.NewServer(fake)
		s := stripemeter.New(stripemeter.Config{
			Key: tc.key, Meter: "edge", Overage: "edge_overage", URL: server.URL, Customers: func() map[string]string { return nil },
		})
		if err := s.Prepare(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		server.Close()
	}
}

// What is too old for Stripe is not sent, and said.
func TestTooOld(t *testing.T) {
	fake := &fakesinks.Stripe{Key: key, Meters: []string{"edge"}, Customers: map[string]bool{"cus_acme": true}}
	server := httptest.NewServer(fake)
	defer server.Close()
	now := time.Date(2026, 12, 15, 0, 0, 0, 0, time.UTC)
	fake.Set(now)
	s := stripemeter.New(stripemeter.Config{
		Key: key, Meter: "edge", URL: server.URL, Now: fake.Now, Customers: func() map[string]string { return map[string]string{"acme": "cus_acme"} },
	})
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	message := func(ago time.Duration) usage.Message {
		start := now.Add(-ago)
		return usage.Message{Item: usage.Item{ID: ago.String(), Meter: "edge", Account: "acme", Start: start, End: start.Add(time.Hour), Value: 5}, Revision: 1, Delta: 5, First: now, Tries: 1}
	}
	verdicts, err := s.Send(t.Context(), []usage.Message{message(36 * 24 * time.Hour), message(34 * 24 * time.Hour)})
	if err != nil || len(verdicts) != 2 || verdicts[0].Rejected == "" || verdicts[1] != (usage.Verdict{}) || fake.Sum("edge", "cus_acme") != 5 {
		t.Errorf("%+v, %v", verdicts, err)
	}
}
