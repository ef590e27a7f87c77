//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// What a gateway told Stripe with the embedded store is told by no other after both share a Redis, however long ago it was:
// Stripe has forgotten the names of the events. The turn of a gateway that stops is free at once.
func TestStripeIsToldOnceWhenTheStoreMoves(t *testing.T) {
	const used = 240
	stripe := &fakesinks.Stripe{Key: "sk_test_e2e", Meters: []string{"edge_invocations"}, Customers: map[string]bool{"cus_acme": true}}
	server := httptest.NewServer(stripe)
	defer server.Close()
	w, redis := startWitness(t), redistest.Single(t)
	with := func(store string) config {
		return config{
			backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
			options: fmt.Sprintf("\t\tstore %s\n\t\texport stripe {\n\t\t\tapi_key sk_test_e2e\n\t\t\tmeter edge_invocations\n\t\t\toverage_meter off\n\t\t\turl %s\n\t\t}",
				store, server.URL),
			project: "\t\t\torganization acme\n\t\t\tstripe_customer cus_acme",
		}
	}
	state := func(g *gateway) string {
		// Its exit code says what its state says.
		_ = exec.CommandContext(t.Context(), shared.binary, "usage", "push", "--address", fmt.Sprintf("127.0.0.1:%d", g.admin)).Run()
		said := g.exporters(t).Exporters[0]
		if said.State == "ok" && said.Due == 0 {
			return "ok"
		}
		return said.State
	}
	has := func(when string) {
		t.Helper()
		if n := stripe.Sum("edge_invocations", "cus_acme"); n != used {
			t.Errorf("%s: Stripe has %d, want %d", when, n, used)
		}
	}
	dir := t.TempDir()
	usedBefore(t, dir, 3*time.Hour, used)
	first := startGateway(t, with("embedded "+dir))
	waitUntil(t, "Stripe has it", func() bool { return state(first) == "ok" })
	has("from the embedded store")

	stripe.Set(time.Now().Add(25 * time.Hour))
	moved := with("redis " + redis.URL() + " " + dir)
	if status, body := load(t, first, moved.caddyfile(first.port, first.admin)); status != http.StatusOK {
		t.Fatal(body)
	}
	waitUntil(t, "it sends in Redis", func() bool { return state(first) == "ok" })
	has("from Redis")
	other := t.TempDir()
	second := startGateway(t, with("redis "+redis.URL()+" "+other))
	month := time.Now().Add(-3 * time.Hour).UTC().Format("2006-01")
	waitUntil(t, "the second bills it", func() bool {
		var bill struct {
			Organizations []struct{ Invocations int64 }
		}
		if err := json.Unmarshal([]byte(second.command(t, "usage", "bill", "--period", month, "-o", "json")), &bill); err != nil {
			t.Fatal(err)
		}
		return len(bill.Organizations) == 1 && bill.Organizations[0].Invocations == used
	})
	first.stop(syscall.SIGTERM, 10*time.Second)
	if got := state(second); got != "ok" {
		t.Errorf("when the first has stopped, the second is %s", got)
	}
	has("from the second")
	second.stop(syscall.SIGTERM, 10*time.Second)
	second.start(t, with("embedded "+other).caddyfile(second.port, second.admin))
	waitUntil(t, "it is alone", func() bool { return state(second) == "ok" })
	has("from its embedded store")
}
