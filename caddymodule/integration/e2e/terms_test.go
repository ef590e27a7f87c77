//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// termsLine is a line as the tests of terms read it.
type termsLine struct {
	Start    time.Time `json:"window_start"`
	End      time.Time `json:"window_end"`
	Quantity int64     `json:"quantity"`
	Overage  int64     `json:"overage_quantity"`
	Packages int64     `json:"packages"`
	Amount   int64     `json:"amount_minor"`
	Plan     string    `json:"plan_rev"`
}

// Contract 7.9: a spend cap that a reload turns off is billed from the first whole minute on that is 60 s away, and not before; what ran
// under it, in grace, stays unsold.
func TestTermsChangeByReload(t *testing.T) {
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tplan small {\n\t\t\tquota 3\n\t\t\toverage 1.00 per 2\n\t\t\tspend_cap on\n\t\t}",
		project: "\t\t\torganization acme\n\t\t\tplan small\n\t\t\tgrace 24h",
	}
	g := startGateway(t, c)
	call := func(n int) {
		t.Helper()
		for range n {
			res, err := http.Get(g.url + "/functions/v1/ok")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Fatalf("it is answered %d", res.StatusCode)
			}
		}
	}
	lines := func() (all []termsLine) {
		t.Helper()
		for text := range strings.Lines(g.command(t, "usage", "export", "--format", "jsonl")) {
			var l termsLine
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	call(6)
	capped := lines()
	c.options = strings.Replace(c.options, "spend_cap on", "spend_cap off", 1)
	changed := time.Now()
	if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	call(1)
	all := lines()
	if n := len(all); n != 1 || all[0].Quantity != 7 || all[0].Amount != 0 || all[0].Overage != 0 || all[0].Plan != capped[0].Plan {
		t.Errorf("before the minute: %+v", all)
	}
	// It takes a minute or two by the clock: no clock can be handed to a process.
	minute := changed.Add(time.Minute).Truncate(time.Minute).Add(time.Minute)
	deadline := time.NewTimer(time.Until(minute.Add(2 * time.Second)))
	<-deadline.C
	call(3)
	all = lines()
	last := all[len(all)-1]
	if len(all) != 2 || !last.Start.Equal(last.Start.Truncate(time.Minute)) || last.Start.Sub(changed) < time.Minute-time.Second || last.Quantity != 3 || last.Plan == capped[0].Plan {
		t.Fatalf("%+v", all)
	}
	// From 7 to 10 beyond 3: the fifth and the seventh begin packages.
	if last.Packages != 2 || last.Amount != 200 || all[0].Amount != 0 || all[0].Quantity != 7 {
		t.Errorf("%+v", all)
	}
	if bill := g.command(t, "usage", "bill"); !strings.Contains(bill, "2.00 USD") || !strings.Contains(bill, "none sold") || !strings.Contains(bill, "1.00 per 2") {
		t.Error(bill)
	}
}
