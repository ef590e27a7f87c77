//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/integration/testclock"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// Contract 7.3: the billing period changes within hours that have usage, by its start and by its zone, on one gateway and on two that
// share a Redis, one of which had a ledger of its own before. Each call is in one line, a line has one id, and Stripe and a webhook
// are told of each once.
func TestCyclesThatChange(t *testing.T) {
	t.Parallel() // it waits, mostly
	file, err := shifted()
	if err != nil {
		t.Fatal(err)
	}
	for name, gateways := range map[string]int{"embedded": 1, "Redis": 2} {
		t.Run(name, func(t *testing.T) {
			const had = 6 // calls of the second gateway's own ledger
			stripe := &fakesinks.Stripe{Key: "sk_test_e2e", Meters: []string{"edge_invocations"}, Customers: map[string]bool{"cus_acme": true}}
			hook := &fakesinks.Receiver{Path: "/usage", Secret: hookSecret}
			stripeServer, hookServer := httptest.NewServer(stripe), httptest.NewServer(hook)
			defer stripeServer.Close()
			defer hookServer.Close()
			w := startWitness(t)
			day := time.Now().UTC().AddDate(0, 0, -1).Truncate(24 * time.Hour)
			if day.Day() < 3 {
				day = day.AddDate(0, 0, -3)
			}
			clock := testclock.New(t, 0)
			redis := redistest.Clocked(t, 0)
			store := ""
			c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")}
			with := func(cycle string) config {
				c.options = fmt.Sprintf(`%s
		export stripe {
			api_key sk_test_e2e
			meter edge_invocations
			overage_meter off
			url %s
		}
		export webhook %s/usage {
			secret %s
			name billing
		}`, store, stripeServer.URL, hookServer.URL, hookSecret)
				c.project = "\t\t\torganization acme\n\t\t\tstripe_customer cus_acme\n" + cycle
				return c
			}
			var all []*gateway
			run := func() {
				g := prepareGateway(t)
				g.file, g.environment = file, []string{clock.Environment()}
				g.start(t, with("").caddyfile(g.port, g.admin))
				all = append(all, g)
			}
			reload := func(cycle string) {
				t.Helper()
				for _, g := range all {
					if status, body := load(t, g, with(cycle).caddyfile(g.port, g.admin)); status != http.StatusOK {
						t.Fatalf("%d %s", status, body)
					}
				}
			}
			made := int64(0)
			call := func(n int) {
				t.Helper()
				for range n {
					for _, g := range all {
						res, err := http.Get(g.url + "/functions/v1/ok")
						if err != nil {
							t.Fatal(err)
						}
						res.Body.Close()
						if res.StatusCode != http.StatusOK {
							t.Fatalf("it is answered %d", res.StatusCode)
						}
						made++
					}
				}
			}
			set := func(hour, minute int) {
				t.Helper()
				now := day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
				ahead := time.Until(now)
				stripe.Set(now)
				if store == "" {
					clock.Set(ahead)
					return
				}
				// Gateways go by the clock of Redis, whatever theirs is.
				redis.SetClock(ahead)
				for _, g := range all {
					waitUntil(t, "it knows the clock of Redis", func() bool {
						offset, err := strconv.ParseFloat(metricOf(t, g, "edgegate_store_clock_offset_seconds"), 64)
						return err == nil && math.Abs(offset-(ahead-clock.Ahead()).Seconds()) < 1
					})
				}
			}
			set(9, 10)
			run()
			if gateways == 2 {
				call(had)
				redis.SetClock(clock.Ahead()) // before it is known: no clock goes backwards
				store = "\t\tstore redis " + redis.URL() + "\n"
				reload("")
				run()
			}
			for i, cycle := range []string{
				"",
				"\t\t\tcycle_start " + day.AddDate(0, 0, -2).Format(time.RFC3339),
				"\t\t\tcycle_start " + day.AddDate(0, 0, -2).Format(time.RFC3339) + "\n\t\t\ttime_zone Asia/Kolkata",
				"\t\t\ttime_zone America/St_Johns",
				"",
			} {
				if i%3 == 0 { // several in an hour
					set(10+i/3, 10)
				}
				reload(cycle)
				call(2 + i)
			}
			set(15, 5)
			type line struct {
				ID       string `json:"line_id"`
				State    string `json:"state"`
				Quantity int64  `json:"quantity"`
			}
			lines := func(g *gateway) (all []line, sum int64) {
				t.Helper()
				for l := range jsonLines[line](t, g.command(t, "usage", "export", "--format", "jsonl", "--period", day.Format("2006-01"))) {
					all, sum = append(all, l), sum+l.Quantity
				}
				return all, sum
			}
			var first []line
			for i, g := range all {
				var got []line
				waitUntil(t, fmt.Sprintf("gateway %d has all calls", i), func() bool {
					var sum int64
					got, sum = lines(g)
					return sum == made && !slices.ContainsFunc(got, func(l line) bool { return l.State == "provisional" })
				})
				ids := make(map[string]bool)
				for _, l := range got {
					if ids[l.ID] {
						t.Errorf("gateway %d has two lines %s", i, l.ID)
					}
					ids[l.ID] = true
				}
				if i == 0 {
					first = got
				} else if !slices.Equal(first, got) {
					t.Errorf("one gateway says %+v, another %+v", first, got)
				}
			}
			if len(first) < 5 {
				t.Errorf("no hour was cut: %+v", first)
			}
			waitUntil(t, "the exporters have all", func() bool {
				for _, g := range all {
					_, _ = g.try(t, "usage", "push") // the one that stands by says so
				}
				return stripe.Sum("edge_invocations", "cus_acme") >= made && hook.Added("acme") >= made
			})
			for range 2 { // nothing follows
				for _, g := range all {
					_, _ = g.try(t, "usage", "push") // the one that stands by says so
				}
			}
			latest, _, _ := hook.Latest("acme")
			if told := stripe.Sum("edge_invocations", "cus_acme"); told != made || hook.Added("acme") != made || latest != made {
				t.Errorf("Stripe has %d, the webhook %d and %d, want %d", told, hook.Added("acme"), latest, made)
			}
			for _, g := range all {
				for _, args := range [][]string{{"usage", "reconcile", "--deep", "--period", day.Format("2006-01")}, {"usage", "verify"}} {
					if _, err := g.try(t, args...); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// jsonLines decodes a text of one JSON value a line.
func jsonLines[T any](t *testing.T, text string) func(func(T) bool) {
	return func(yield func(T) bool) {
		t.Helper()
		d := json.NewDecoder(strings.NewReader(text))
		for d.More() {
			var v T
			if err := d.Decode(&v); err != nil {
				t.Fatal(err)
			}
			if !yield(v) {
				return
			}
		}
	}
}
