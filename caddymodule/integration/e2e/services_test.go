//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the example of the convention

// exportersSaid is what `edgegate usage exporters` says.
type exportersSaid struct {
	Exporters []struct {
		Name, State   string
		Due, Rejected int
		Held          map[string]int
		Error         *string
		Reasons       []string
	}
}

func (g *gateway) exporters(t *testing.T) (said exportersSaid) {
	t.Helper()
	if err := json.Unmarshal([]byte(g.command(t, "usage", "exporters", "-o", "json")), &said); err != nil {
		t.Fatal(err)
	}
	return said
}

// What hours that are over used goes to Stripe, OpenMeter and a webhook, through kills and while they fail; what they say is what is
// billed.
func TestServices(t *testing.T) {
	store := t.TempDir()
	usedBefore(t, store, 3*time.Hour, 25)
	stripe := &fakesinks.Stripe{
		Key: "sk_test_e2e", Window: "hour", Meters: []string{"edge_invocations", "edge_invocations_overage"}, Customers: map[string]bool{"cus_acme": true},
	}
	meter := &fakesinks.Receiver{Path: "/api/v1/events", Token: "om-token-of-the-suite", Knows: 32 * 24 * time.Hour}
	hook := &fakesinks.Receiver{Path: "/usage", Secret: hookSecret}
	for seed, f := range []*fakesinks.Faults{&stripe.Faults, &meter.Faults, &hook.Faults} {
		f.Schedule(uint64(seed), 0.4)
	}
	stripeServer, meterServer, hookServer := httptest.NewServer(stripe), httptest.NewServer(meter), httptest.NewServer(hook)
	defer stripeServer.Close()
	defer meterServer.Close()
	defer hookServer.Close()
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: fmt.Sprintf(`		store embedded %s
		plan small {
			quota 10
			overage 2.00 per 10
			spend_cap off
		}
		export stripe {
			api_key sk_test_e2e
			meter edge_invocations
			url %s
		}
		export webhook %s {
			preset openmeter
			token om-token-of-the-suite
		}
		export webhook %s/usage {
			secret %s
			name billing
		}`, store, stripeServer.URL, meterServer.URL, hookServer.URL, hookSecret),
		project: "\t\t\torganization acme\n\t\t\tplan small\n\t\t\tstripe_customer cus_acme",
	}
	g := startGateway(t, c)
	for range 3 {
		waitUntil(t, "something was sent", func() bool {
			calls, _ := hook.Calls()
			return calls > 0
		})
		g.stop(syscall.SIGKILL, time.Second)
		g.start(t, c.caddyfile(g.port, g.admin))
	}
	for _, f := range []*fakesinks.Faults{&stripe.Faults, &meter.Faults, &hook.Faults} {
		f.Heal()
	}
	waitUntil(t, "all exporters have all", func() bool {
		said := g.exporters(t)
		for _, e := range said.Exporters {
			if e.State != "ok" || e.Due != 0 || e.Rejected != 0 {
				return false
			}
		}
		return len(said.Exporters) == 3
	})
	if used, over := stripe.Sum("edge_invocations", "cus_acme"), stripe.Sum("edge_invocations_overage", "cus_acme"); used != 25 || over != 15 {
		t.Errorf("Stripe has %d and %d over", used, over)
	}
	for name, r := range map[string]*fakesinks.Receiver{"OpenMeter": meter, "the webhook": hook} {
		quantity, amount, lines := r.Latest("acme")
		if added := r.Added("acme"); added != 25 || quantity != 25 || amount != 400 || lines != 1 {
			t.Errorf("%s has %d added up, %d, %d in %d lines", name, added, quantity, amount, lines)
		}
	}
	var reconciled struct {
		Levels []struct {
			Level, What                 string
			Expected, Found, Difference int64
		}
		OK bool
	}
	month := time.Now().Add(-3 * time.Hour).UTC().Format("2006-01")
	text := g.command(t, "usage", "reconcile", "--period", month, "--against", "stripe", "-o", "json")
	if err := json.Unmarshal([]byte(text), &reconciled); err != nil || !reconciled.OK || strings.Count(text, `"R4"`) != 5 {
		t.Errorf("%s, %v", text, err)
	}
}

// Who has no customer is waited for and keeps nobody else from being billed; what Stripe does not know is said.
func TestStripeCustomerMissing(t *testing.T) {
	store := t.TempDir()
	usedBefore(t, store, 3*time.Hour, 25)
	stripe := &fakesinks.Stripe{Key: "sk_test_e2e", Meters: []string{"edge_invocations"}, Customers: map[string]bool{"cus_acme": true}}
	server := httptest.NewServer(stripe)
	defer server.Close()
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: fmt.Sprintf("\t\tstore embedded %s\n\t\texport stripe {\n\t\t\tapi_key sk_test_e2e\n\t\t\tmeter edge_invocations\n\t\t\toverage_meter off\n\t\t\turl %s\n\t\t}",
			store, server.URL),
		project: "\t\t\torganization acme",
	}
	g := startGateway(t, c)
	waitUntil(t, "it is held", func() bool {
		said := g.exporters(t)
		return len(said.Exporters) == 1 && len(said.Exporters[0].Held) == 1
	})
	push := func() (string, error) {
		out, err := exec.CommandContext(t.Context(), shared.binary, "usage", "push", "--rejected", "--address", fmt.Sprintf("127.0.0.1:%d", g.admin)).CombinedOutput()
		return string(out), err
	}
	if out, err := push(); err != nil || !strings.Contains(out, "stripe_customer") {
		t.Errorf("%s, %v", out, err)
	}
	if n := metricOf(t, g, `edgegate_exporter_held{exporter="stripe edge_invocations"}`); n != "1" {
		t.Errorf("the metric of messages held is %s", n)
	}
	c.project = "\t\t\torganization acme\n\t\t\tstripe_customer cus_gone"
	if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != 200 {
		t.Fatal(body)
	}
	if out, err := push(); err != nil || !strings.Contains(out, "meter_event_customer_not_found") || stripe.Sum("edge_invocations", "cus_acme") != 0 {
		t.Errorf("%s, %v", out, err)
	}
	c.project = "\t\t\torganization acme\n\t\t\tstripe_customer cus_acme"
	if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != 200 {
		t.Fatal(body)
	}
	if out, err := push(); err != nil || stripe.Sum("edge_invocations", "cus_acme") != 25 {
		t.Errorf("Stripe has %d: %s, %v", stripe.Sum("edge_invocations", "cus_acme"), out, err)
	}
}

// metricOf is the value of a metric with its labels.
func metricOf(t *testing.T, g *gateway, name string) string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "none"
}

// Gateways that share a store and have the same exporters send each line once: one of them sends, the other stands by.
func TestServicesOfGatewaysThatShareAStore(t *testing.T) {
	redis := redistest.Single(t)
	hook := &fakesinks.Receiver{Path: "/usage", Knows: time.Nanosecond} // whatever comes twice counts twice
	server := httptest.NewServer(hook)
	defer server.Close()
	w := startWitness(t)
	var all []*gateway
	for i := range 2 {
		store := t.TempDir()
		usedBefore(t, store, 3*time.Hour, 10*(i+1))
		all = append(all, startGateway(t, config{
			backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
			options: fmt.Sprintf("\t\tstore redis %s %s\n\t\texport webhook %s/usage", redis.URL(), store, server.URL),
			project: "\t\t\torganization acme",
		}))
	}
	waitUntil(t, "all is sent", func() bool {
		_, _ = all[0].try(t, "usage", "push") // the one that stands by says so
		_, _ = all[1].try(t, "usage", "push")
		return hook.Added("acme") == 30
	})
	states := make(map[string]int)
	waitUntil(t, "both had a round", func() bool {
		clear(states)
		for _, g := range all {
			states[g.exporters(t).Exporters[0].State]++
		}
		return states["waiting"] == 0
	})
	if states["ok"] != 1 || states["standby"] != 1 || hook.Added("acme") != 30 {
		t.Errorf("%v, %d were counted", states, hook.Added("acme"))
	}
}
