package stripemeter_test

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
)

// pro is the price that configs/stripe has.
var pro = usage.Price{Plan: "pro", Included: 2_000_000, Package: 1_000_000, Minor: 200, Currency: "USD"}

// Contract 7.4: Stripe asks for what the bill says while plans begin and end to sell, and include more or less: in grace, under a
// spend cap, after `quota set` nothing is sold. Terms change within hours, too.
func TestInvoiceIsTheBill(t *testing.T) {
	capped := pro
	capped.Package, capped.Minor = 0, 0
	upgraded, lowered := pro, pro
	upgraded.Included, lowered.Included = 2_600_000, 1_300_000
	for seed := range uint64(12) {
		for _, window := range []string{"", "hour"} {
			t.Run(fmt.Sprintf("seed=%d window=%s", seed, window), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 14))
				fake := &fakesinks.Stripe{
					Key: key, Customers: map[string]bool{"cus_acme": true}, Window: window,
					Meters: []string{"edge_invocations", "edge_invocations_overage"},
				}
				server := httptest.NewServer(fake)
				defer server.Close()
				post(t, server.URL+"/v1/prices", "price-overage.form", "&recurring[meter]=mtr_edge_invocations_overage")
				start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
				store := usage.NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger")
				s := stripemeter.New(stripemeter.Config{
					Key: key, Meter: "edge_invocations", Overage: "edge_invocations_overage", URL: server.URL, Now: fake.Now,
					Customers: func() map[string]string { return map[string]string{"acme": "cus_acme"} },
				})
				o := &usage.Outbox{Store: store, Pages: store.Pages(), Now: fake.Now}
				prices := []usage.Price{pro, capped, upgraded, lowered}
				terms := usage.Terms{{Price: pro}}
				for hour := range 12 {
					at := start.Add(time.Duration(hour) * time.Hour)
					var sums []usage.Sum
					for _, begins := range []time.Time{at, at.Add(37 * time.Minute)}[r.IntN(2):] {
						if r.IntN(3) > 0 {
							terms = append(terms, usage.Term{From: begins, Price: prices[r.IntN(len(prices))]})
						}
						n := r.Int64N(600_000)
						sums = append(sums, usage.Sum{
							Key:     usage.Key{Organization: "acme", Period: "2026-11", Start: begins, End: at.Add(time.Hour), Project: "p", Function: "f", Region: "eu"},
							Sources: []usage.Source{{Instance: "one", First: 1, Invocations: n, Completed: n}},
						})
					}
					for _, now := range []time.Time{at.Add(time.Minute), at.Add(time.Hour)} {
						fake.Set(now)
						if _, err := store.Update(usage.UpdateInput{
							Now:      now,
							Sums:     sums,
							Price:    func(string) (usage.Price, bool) { return pro, true },
							Terms:    map[string]usage.Terms{"acme": terms},
							Complete: func(end time.Time) bool { return !end.After(now) },
						}); err != nil {
							t.Fatal(err)
						}
					}
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
					if got := fake.Invoice("cus_acme"); got != billed {
						t.Fatalf("hour %d: Stripe asks for %d, the bill is %d", hour, got, billed)
					}
				}
			})
		}
	}
}
