//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// usedBefore leaves a ledger as a gateway would that ran some hours ago.
func usedBefore(t *testing.T, dir string, ago time.Duration, invocations int) {
	t.Helper()
	at := time.Now().Add(-ago)
	l, err := metering.Open(metering.Config{Dir: dir, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	subject, err := l.Subject(metering.Subject{Organization: "acme", Project: "default", Function: "ok"})
	if err != nil {
		t.Fatal(err)
	}
	region, err := l.Region("eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	for range invocations {
		seq, err := l.Admit(metering.Invocation{Subject: subject, Region: region, At: at})
		if err == nil {
			err = l.Done(seq, metering.Invocation{Subject: subject, Region: region, At: at}, metering.Ending{Status: 200})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Hours that are over go to the exporters, and all accounts of what was used agree.
func TestExportAndReconcile(t *testing.T) {
	store, out := t.TempDir(), filepath.Join(t.TempDir(), "usage")
	usedBefore(t, store, 3*time.Hour, 25)
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore embedded " + store + "\n\t\tplan small {\n\t\t\tquota 10\n\t\t\toverage 2.00 per 10\n\t\t\tspend_cap off\n\t\t}\n" +
			"\t\texport file " + out + " {\n\t\t\tformat parquet\n\t\t}",
		project: "\t\t\torganization acme\n\t\t\tplan small",
	}
	g := startGateway(t, c)
	var file string
	waitUntil(t, "a file is there", func() bool {
		found, err := filepath.Glob(filepath.Join(out, "usage-*.parquet"))
		if err == nil && len(found) == 1 {
			file = found[0]
		}
		return file != ""
	})
	got := duckdb(t, "SELECT sum(quantity)::VARCHAR AS used, sum(amount_minor)::VARCHAR AS amount, min(state) AS state, (min(revision) % 1000000)::VARCHAR AS revision FROM read_parquet('"+file+"')")
	if got["used"] != "25" || got["amount"] != "400" || got["state"] != "final" || got["revision"] != "1" {
		t.Errorf("DuckDB reads %v", got)
	}
	waitUntil(t, "the manifest is there", func() bool {
		text, err := os.ReadFile(filepath.Join(out, "manifest.jsonl"))
		return err == nil && strings.Contains(string(text), `"quantity":25`)
	})
	month := time.Now().Add(-3 * time.Hour).UTC().Format("2006-01")
	var said struct {
		Levels []struct {
			Level                       string
			Expected, Found, Difference int64
		}
		OK bool
	}
	if err := json.Unmarshal([]byte(g.command(t, "usage", "reconcile", "--period", month, "--against", "file:"+file, "-o", "json")), &said); err != nil {
		t.Fatal(err)
	}
	if !said.OK || len(said.Levels) != 6 {
		t.Errorf("%+v", said)
	}
	for i, l := range said.Levels {
		if l.Level == "R5" { // what this process received: nothing
			continue
		}
		if want := map[bool]int64{true: 50, false: 25}[i == 0]; l.Expected != want || l.Found != want {
			t.Errorf("%+v, want %d", l, want)
		}
	}
}

// What a gateway counted before it was off for days is billed when it is back.
func TestBillingAfterDaysOff(t *testing.T) {
	const ago = 200 * time.Hour
	store := t.TempDir()
	usedBefore(t, store, ago, 12)
	w := startWitness(t)
	g := startGateway(t, config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"), options: "\t\tstore embedded " + store,
		project: "\t\t\torganization acme",
	})
	month := time.Now().Add(-ago).UTC().Format("2006-01")
	var bill struct {
		Organizations []struct{ Invocations int64 }
	}
	if err := json.Unmarshal([]byte(g.command(t, "usage", "bill", "--period", month, "-o", "json")), &bill); err != nil {
		t.Fatal(err)
	}
	if len(bill.Organizations) != 1 || bill.Organizations[0].Invocations != 12 {
		t.Errorf("%+v", bill)
	}
	var said struct{ OK bool }
	if err := json.Unmarshal([]byte(g.command(t, "usage", "reconcile", "--period", month, "-o", "json")), &said); err != nil || !said.OK {
		t.Errorf("%+v, %v", said, err)
	}
}

// It is billed by the others too, which never heard of it.
func TestBillingOfAnotherAfterDaysOff(t *testing.T) {
	const ago = 200 * time.Hour
	w, redis := startWitness(t), redistest.Single(t)
	start := func(used int) *gateway {
		store := t.TempDir()
		if used > 0 {
			usedBefore(t, store, ago, used)
		}
		return startGateway(t, config{
			backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"), options: "\t\tstore redis " + redis.URL() + " " + store,
			project: "\t\t\torganization acme",
		})
	}
	g := start(0)
	start(12)
	month := time.Now().Add(-ago).UTC().Format("2006-01")
	waitUntil(t, "it is billed by the other", func() bool {
		var bill struct {
			Organizations []struct{ Invocations int64 }
		}
		if err := json.Unmarshal([]byte(g.command(t, "usage", "bill", "--period", month, "-o", "json")), &bill); err != nil {
			t.Fatal(err)
		}
		return len(bill.Organizations) == 1 && bill.Organizations[0].Invocations == 12
	})
}
