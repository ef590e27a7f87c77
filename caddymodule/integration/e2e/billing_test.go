//go:build e2e

package e2e

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// duckdb is what DuckDB says to a query of one row.
func duckdb(t *testing.T, query string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "node", "duckdb.mjs", query).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		t.Fatalf("%s: %v: %s", query, err, failed.Stderr)
	}
	var rows []map[string]string
	if err := json.Unmarshal(out, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%s: %s, %v", query, out, err)
	}
	return rows[0]
}

// command runs a command of the binary against a gateway.
func (g *gateway) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := g.try(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try is command where the command may fail. The error has all that it said.
func (g *gateway) try(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	return edgegate(t, append(args, "--address", fmt.Sprintf("127.0.0.1:%d", g.admin))...)
}

// edgegate runs a command of the binary. The error has all that it said.
func edgegate(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	return said(t, shared.binary, args...)
}

// said runs a binary and returns what it said. The error has all of it.
func said(t *testing.T, binary string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%q: %w: %s%s", args, err, out, errs.String())
	}
	return string(out), err
}

// Contract 7.4: what was called is what is billed, in every format, and readers that others wrote add up the same.
func TestBilling(t *testing.T) {
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok", "missing"),
		options: "\t\tplan small {\n\t\t\tquota 10\n\t\t\toverage 2.00 per 10\n\t\t\tspend_cap off\n\t\t}",
		project: "\t\t\torganization acme\n\t\t\tplan small",
	}
	g := startGateway(t, c)
	for i := range 31 {
		res, err := http.Get(g.url + "/functions/v1/" + []string{"ok", "missing"}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	var bill struct {
		Organizations []struct {
			ID, Plan, State, Amount, Currency     string
			Included, Invocations, Over, Packages int64
		}
	}
	if err := json.Unmarshal([]byte(g.command(t, "usage", "bill", "-o", "json")), &bill); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint([]any{"acme", "small", "provisional", "6.00", "USD", 10, 31, 21, 3})
	if len(bill.Organizations) != 1 {
		t.Fatalf("%+v", bill)
	}
	if o := bill.Organizations[0]; fmt.Sprint([]any{o.ID, o.Plan, o.State, o.Amount, o.Currency, o.Included, o.Invocations, o.Over, o.Packages}) != want {
		t.Errorf("contract 7.4: %+v, want %s", o, want)
	}
	var shown struct {
		Organizations []struct {
			Daily []struct {
				Date        string
				Invocations int64
			}
		}
	}
	if err := json.Unmarshal([]byte(g.command(t, "usage", "show", "--daily", "-o", "json")), &shown); err != nil {
		t.Fatal(err)
	}
	called := int64(0)
	for _, d := range shown.Organizations[0].Daily {
		called += d.Invocations
	}
	if days := len(shown.Organizations[0].Daily); called != 31 || days != time.Now().UTC().Day() {
		t.Errorf("%d are shown, on %d days", called, days)
	}
	dir := t.TempDir()
	const sums = "SELECT count(*)::VARCHAR lines, sum(quantity)::VARCHAR quantity, sum(amount_minor)::VARCHAR amount, sum(packages)::VARCHAR packages FROM "
	for _, format := range []string{"csv", "jsonl", "parquet"} {
		path := filepath.Join(dir, "usage."+format)
		g.command(t, "usage", "export", "--format", format, "--out", path)
		from := map[string]string{"csv": "read_csv", "jsonl": "read_json", "parquet": "read_parquet"}[format]
		if got := duckdb(t, sums+from+"('"+path+"')"); got["quantity"] != "31" || got["amount"] != "600" || got["packages"] != "3" {
			t.Errorf("%s: DuckDB reads %v", format, got)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%q were left behind", left)
	}
	focus := filepath.Join(dir, "focus.csv")
	g.command(t, "usage", "export", "--format", "focus", "--out", focus)
	if got := duckdb(t, "SELECT sum(BilledCost)::VARCHAR AS cost, sum(ConsumedQuantity)::VARCHAR AS used FROM read_csv('"+focus+"')"); got["used"] != "31" || strings.TrimRight(got["cost"], "0.") != "6" {
		t.Errorf("FOCUS: DuckDB reads %v", got)
	}
	file, err := os.Open(focus)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	header, err := csv.NewReader(file).Read()
	if err != nil || !slices.IsSorted(header) {
		t.Errorf("%q, %v", header, err)
	}
	some := g.command(t, "usage", "export", "--format", "focus", "--focus-version", "1.2", "--columns", "BilledCost,ProviderName")
	if first, rest, _ := strings.Cut(some, "\n"); first != "BilledCost,ProviderName" || !strings.HasSuffix(rest, ".00,edgegate\n") {
		t.Errorf("FOCUS 1.2:\n%s", some)
	}
	// What was billed is billed after a restart, and exports are the same but for what is not over.
	before := g.command(t, "usage", "export", "--format", "jsonl")
	g.stop(syscall.SIGKILL, time.Second)
	g.start(t, c.caddyfile(g.port, g.admin))
	var said any
	adminGet(t, g, "/edge_functions/status", &said)
	if after := g.command(t, "usage", "export", "--format", "jsonl"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

// Prices and amounts are in the minor unit of the currency, whatever that is.
func TestBillingInOtherCurrencies(t *testing.T) {
	w := startWitness(t)
	for _, tt := range []struct{ currency, price, minor, amount string }{
		{"JPY", "300", "600", "600"}, {"KWD", "0.615", "1230", "1.230"}, {"EUR", "1.80", "360", "3.60"},
	} {
		t.Run(tt.currency, func(t *testing.T) {
			g := startGateway(t, config{
				backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
				options: "\t\tplan small {\n\t\t\tquota 10\n\t\t\toverage " + tt.price + " per 10\n\t\t\tspend_cap off\n\t\t}\n\t\tcurrency " + tt.currency,
				project: "\t\t\torganization acme\n\t\t\tplan small",
			})
			for range 21 {
				res, err := http.Get(g.url + "/functions/v1/ok")
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
			}
			bill := g.command(t, "usage", "bill")
			if !strings.Contains(bill, "  "+tt.amount+" "+tt.currency+"  provisional") {
				t.Error(bill)
			}
			dir := t.TempDir()
			for _, format := range []string{"csv", "focus"} {
				g.command(t, "usage", "export", "--format", format, "--out", filepath.Join(dir, format))
			}
			if got := duckdb(t, "SELECT sum(amount_minor)::VARCHAR amount, min(currency) currency FROM read_csv('"+dir+"/csv')"); got["amount"] != tt.minor || got["currency"] != tt.currency {
				t.Errorf("%v", got)
			}
			focus, err := os.ReadFile(filepath.Join(dir, "focus"))
			if err != nil || !strings.Contains(string(focus), "\n"+tt.amount+",acme,acme,"+tt.currency+",") {
				t.Errorf("%s, %v", focus, err)
			}
		})
	}
}

// Gateways that share a store make the same lines, of what all of them counted.
func TestBillingOfGatewaysThatShareAStore(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore redis " + redis.URL(), project: "\t\t\torganization acme",
	}
	all := []*gateway{startGateway(t, c), startGateway(t, c)}
	for i, g := range all {
		for range 3 + i {
			res, err := http.Get(g.url + "/functions/v1/ok")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
	}
	type line struct {
		LineID          string `json:"line_id"`
		LedgerID        string `json:"ledger_id"`
		SourceInstances string `json:"source_instances"`
		Quantity        int64
	}
	export := func(g *gateway) (lines []line) {
		t.Helper()
		for text := range strings.Lines(g.command(t, "usage", "export", "--format", "jsonl")) {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, l)
		}
		return lines
	}
	quantity := func(lines []line) (n int64) {
		for _, l := range lines {
			n += l.Quantity
		}
		return n
	}
	for i, g := range all {
		waitUntil(t, fmt.Sprintf("gateway %d bills for both", i), func() bool { return quantity(export(g)) == 7 })
	}
	first, second := export(all[0]), export(all[1])
	if !slices.Equal(first, second) || len(strings.Fields(first[0].SourceInstances)) != 2 {
		t.Errorf("one says %+v, the other %+v", first, second)
	}
}
