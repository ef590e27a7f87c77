//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// oldArchive holds the ledgers of three killed gateways of the build of commit 6bf3056, in ledger0 to ledger2, and oldData as
// olddata.json. It is written by
//
//	go test -tags 'e2e soak' -run TestSoakOldData -write-old-data ./caddymodule/integration/e2e
const oldArchive = "testdata/olddata.tar.gz"

// oldData is the content of the Redis of these gateways, and what they had billed and told services.
type oldData struct {
	Redis map[string]map[string]string // hashes by key
	Plain map[string]string            // strings by key
	Lines []usage.Line                 // of the first organization, those of the last hour provisional
	Told  int64                        // invocations that services were told of
	Month string
	Limit int64     // the hard quota of the second organization
	Cycle time.Time // when its billing period begins
}

// oldOptions are the gateways' global options.
const oldOptions = `		store STORE
		plan priced {
			quota 100
			overage 2.00 per 1000
			spend_cap off
		}
		export stripe {
			api_key sk_test_e2e
			meter edge_invocations
			url STRIPE
		}
		export webhook HOOK/usage {
			secret ` + hookSecret + `
			name billing
		}
`

// settled is how long an hour is over when its lines become final, and a moment more.
const settled = 6 * time.Minute

// softAndHard are two projects: of an organization with a soft quota and of one with a hard one.
func softAndHard(limit int64, cycle time.Time) object {
	first, second := projectOf(firstRef, jwtSecret), projectOf(secondRef, otherSecret)
	first["functions"] = []object{{"slug": "ok", "verify_jwt": false}}
	second["functions"], second["organization"] = []object{{"slug": "capped", "verify_jwt": false}}, "globex"
	all := document(first, second)
	all["organizations"] = []object{
		{"id": "acme", "plan": "priced", "stripe_customer": "cus_acme"},
		{"id": "globex", "plan": "free", "quota": limit, "cycle_start": cycle.Format(time.RFC3339), "stripe_customer": "cus_globex"},
	}
	return all
}

func linesOf(t *testing.T, text string) (lines []usage.Line) {
	t.Helper()
	for one := range strings.Lines(text) {
		var l usage.Line
		if err := json.Unmarshal([]byte(one), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// Contract 7.3, 7.4: what gateways of the build before lines had billing periods left in their directories and in Redis is read:
// lines keep their ids, services are told only what they were not told, and what is called from now on is counted besides.
func TestOldData(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", oldArchive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v\n%s", oldArchive, err, out)
	}
	oldDataIsRead(t, dir)
}

func oldDataIsRead(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "olddata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var old oldData
	if err := json.Unmarshal(text, &old); err != nil {
		t.Fatal(err)
	}
	redis := redistest.Single(t)
	for key, value := range old.Plain {
		redis.Exec("SET", key, value)
	}
	for key, fields := range old.Redis {
		for name, value := range fields {
			redis.Exec("HSET", key, name, value)
		}
	}
	stripe := &fakesinks.Stripe{Key: "sk_test_e2e", Meters: []string{"edge_invocations", "edge_invocations_overage"}, Customers: map[string]bool{"cus_acme": true, "cus_globex": true}}
	stripe.Set(old.Cycle.Add(24 * time.Hour)) // Stripe takes nothing of long ago
	hook := &fakesinks.Receiver{Path: "/usage", Secret: hookSecret}
	stripeServer, hookServer := httptest.NewServer(stripe), httptest.NewServer(hook)
	defer stripeServer.Close()
	defer hookServer.Close()
	projects := filepath.Join(dir, "projects.json")
	replaceFile(t, projects, softAndHard(old.Limit, old.Cycle))
	w := startWitness(t)
	var gateways [3]*gateway
	for i := range gateways {
		gateways[i] = startGateway(t, config{
			backends: []backend{backendOf("eu-central-1", w.Server)}, source: "projects file " + projects,
			options: strings.NewReplacer("STORE", fmt.Sprintf("redis %s %s/ledger%d", redis.URL(), dir, i), "HOOK", hookServer.URL, "STRIPE", stripeServer.URL).Replace(oldOptions),
		})
	}
	for i, g := range gateways {
		waitUntil(t, fmt.Sprintf("gateway %d has the old lines", i), func() bool { return g.hasOld(t, &old) })
	}
	final, over := int64(0), time.Now().Add(-settled)
	waitUntil(t, fmt.Sprintf("services are told what they were not told before, %d", old.Told), func() bool {
		for _, g := range gateways {
			// Its exit code says what its state says.
			_ = exec.CommandContext(t.Context(), shared.binary, "usage", "push", "--address", fmt.Sprintf("127.0.0.1:%d", g.admin)).Run()
		}
		final = 0
		for _, l := range gateways[0].billed(t, "--period", old.Month) {
			switch {
			case l.State != usage.Provisional:
				final += l.Quantity
			case l.WindowEnd.Before(over):
				return false
			}
		}
		return hook.Added("acme") == final-old.Told && stripe.Sum("edge_invocations", "cus_acme") == final-old.Told
	})
	calls := int64(0)
	for _, g := range gateways {
		for range 5 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/functions/v1/ok", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = firstRef + ".example.test"
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			calls++
		}
	}
	for i, g := range gateways {
		waitUntil(t, fmt.Sprintf("gateway %d bills %d more, in lines of their own", i, calls), func() bool {
			now := int64(0)
			for _, l := range g.billed(t) {
				if l.Schema == usage.Schema {
					now += l.Quantity
				}
			}
			return now == calls && g.hasOld(t, &old)
		})
		for _, args := range [][]string{{"reconcile", "--deep", "--period", old.Month}, {"verify"}} {
			args = append(append([]string{"usage"}, args...), "--address", fmt.Sprintf("127.0.0.1:%d", g.admin))
			if out, err := exec.CommandContext(t.Context(), shared.binary, args...).CombinedOutput(); err != nil {
				t.Errorf("gateway %d: %q: %v\n%s", i, args, err, out)
			}
		}
	}
	if n := hook.Added("acme"); n != final-old.Told {
		t.Errorf("the webhook was told %d, not %d", n, final-old.Told)
	}
}

// billed are the first organization's lines of the billing period in force, or of another.
func (g *gateway) billed(t *testing.T, more ...string) (lines []usage.Line) {
	t.Helper()
	for _, l := range linesOf(t, g.command(t, append([]string{"usage", "export", "--format", "jsonl"}, more...)...)) {
		if l.AccountID == "acme" {
			lines = append(lines, l)
		}
	}
	return lines
}

// hasOld reports whether a gateway has the lines of the old build.
func (g *gateway) hasOld(t *testing.T, old *oldData) bool {
	t.Helper()
	now := make(map[string]usage.Line)
	for _, l := range g.billed(t, "--period", old.Month) {
		if !l.Intact() {
			t.Errorf("the digest of %+v is wrong", l)
		}
		now[l.LineID] = l
	}
	for _, before := range old.Lines {
		after := now[before.LineID]
		if after.Schema != usage.SchemaV1 || after.Quantity != before.Quantity || after.WindowStart != before.WindowStart {
			return false
		}
	}
	return true
}
