package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

const billJSON = `{"organizations":[
{"id":"","plan":"","period":{"id":"2026-11"},"state":"final","included":-1,"invocations":7,"over":0,"packages":0,"amount_minor":0,"amount":"0.00","currency":"USD"},
{"id":"acme","plan":"pro","period":{"id":"2026-11"},"state":"provisional","included":2000000,"invocations":3400000,"over":1400000,"packages":2,"amount_minor":400,"amount":"4.00","currency":"USD",
"terms":[{"from":"2026-11-01T00:00:00Z","plan":"free","plan_rev":"a","included":500000,"package":0,"price":"0.00","invocations":400000,"packages":0,"amount_minor":0,"amount":"0.00"},
{"from":"2026-11-05T14:32:00Z","plan":"pro","plan_rev":"b","included":2000000,"package":1000000,"price":"2.00","invocations":3000000,"packages":2,"amount_minor":400,"amount":"4.00"}]}]}`

const billText = `ORGANIZATION  PERIOD   PLAN  INCLUDED   USED       OVER       PACKAGES  AMOUNT    STATE
-             2026-11  -     -          7          0          0         0.00 USD  final
acme          2026-11  pro   2,000,000  3,400,000  1,400,000  2         4.00 USD  provisional

Terms of acme in 2026-11, beginning in UTC
FROM              PLAN  INCLUDED   PRICE               USED       PACKAGES  AMOUNT
2026-11-01 00:00  free  500,000    none sold           400,000    0         0.00 USD
2026-11-05 14:32  pro   2,000,000  2.00 per 1,000,000  3,000,000  2         4.00 USD
`

func TestUsageBill(t *testing.T) {
	g := serve(t, 200, billJSON)
	stdout, stderr, code := execute(t, "usage", "bill", "--address", g.address(), "--period", "2026-11", "--org", "acme")
	if stdout != billText || stderr != "" || code != 0 {
		t.Errorf("exit code %d, standard error %q, standard output\n%s", code, stderr, stdout)
	}
	if got := g.questions()[0]; got != "GET /edge_functions/usage/bill?organization=acme&period=2026-11" {
		t.Errorf("asked %s", got)
	}
	if _, stderr, code := execute(t, "usage", "bill", "--period", "11"); code != 2 || !strings.Contains(stderr, "write it as in 2026-11") {
		t.Errorf("%d, %s", code, stderr)
	}
}

// exporter is a gateway that exports, or breaks off.
func exporter(t *testing.T, whole bool) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", gateway.TotalsTrailer)
		_, _ = w.Write([]byte("line_id\n1\n"))
		if !whole {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set(gateway.TotalsTrailer, `{"rows":1,"quantity":2000,"amount_minor":150,"currency":"USD"}`)
	}))
	t.Cleanup(server.Close)
	return (&fakeGateway{Server: server}).address()
}

func TestUsageExport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usage.csv")
	address := exporter(t, true)
	if stdout, stderr, code := execute(t, "usage", "export", "--address", address); stdout != "line_id\n1\n" || stderr != "" || code != 0 {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	stdout, stderr, code := execute(t, "usage", "export", "--address", address, "--out", file)
	if code != 0 || stdout != "" || stderr != file+": 1 lines, 2,000 invocations, 1.50 USD\n" {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "line_id\n1\n" {
		t.Errorf("%q, %v", text, err)
	}
	stdout, stderr, code = execute(t, "usage", "export", "--address", address, "--out", file, "-o", "json")
	if want := `{"file":"` + file + `","rows":1,"quantity":2000,"amount_minor":150,"currency":"USD"}`; code != 0 || stderr != "" || strings.Join(strings.Fields(stdout), "") != want {
		t.Errorf("%d, %q, %q, want %s", code, stdout, stderr, want)
	}
	broken := filepath.Join(t.TempDir(), "broken.csv")
	if _, stderr, code := execute(t, "usage", "export", "--address", exporter(t, false), "--out", broken); code != 1 || !strings.Contains(stderr, "ended early") {
		t.Errorf("%d, %s", code, stderr)
	}
	if left, err := os.ReadDir(filepath.Dir(broken)); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	for _, args := range []string{
		"--format xml", "--period november", "--format focus --focus-version 1.1", "--focus-version 1.3", "--columns BilledCost",
		"--format focus --columns BilledCost,ProviderName", "-o json", "-o csv",
	} {
		if _, stderr, code := execute(t, append([]string{"usage", "export"}, strings.Fields(args)...)...); code != 2 {
			t.Errorf("%q: %d, %s", args, code, stderr)
		}
	}
	if _, _, code := execute(t, "usage", "export", "--address", address, "--out", filepath.Join(file, "no", "directory")); code != 1 {
		t.Errorf("%d", code)
	}
	refused := serve(t, 400, `{"error":"the store does not answer"}`)
	if _, stderr, code := execute(t, "usage", "export", "--address", refused.address()); code != 1 || !strings.Contains(stderr, "the store does not answer") {
		t.Errorf("%d, %s", code, stderr)
	}
}

func TestUsageExportFOCUS(t *testing.T) {
	g := serve(t, 200, "BilledCost\n")
	for args, want := range map[string]string{
		"": "focus_version=1.4&format=focus", "--focus-version 1.2": "focus_version=1.2&format=focus",
		"--columns x_LineId,BilledCost": "columns=x_LineId%2CBilledCost&focus_version=1.4&format=focus",
	} {
		execute(t, append([]string{"usage", "export", "--address", g.address(), "--format", "focus"}, strings.Fields(args)...)...)
		if got := g.questions()[len(g.questions())-1]; got != "GET /edge_functions/usage/export?"+want {
			t.Errorf("%s: asked %s", args, got)
		}
	}
}

func TestQuotaRelease(t *testing.T) {
	g := serve(t, 200, quotaJSON)
	if stdout, stderr, code := execute(t, "quota", "release", "4f1c2a9b7d3e", "--address", g.address()); code != 0 || stdout != quotaText || stderr != "" {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	for released, want := range map[string]string{
		`[{"organization":"acme","period":"2026-11","units":1200},{"organization":"b","period":"2026-12","units":1}]`: "Released 1,200 of acme, period 2026-11, which gateway 4f held.\nReleased 1 of b, period 2026-12, which gateway 4f held.\n",
		`[]`: "Gateway 4f held nothing; nobody waits for it any more.\n",
	} {
		answer := strings.TrimSuffix(quotaJSON, "}") + `,"released":{"gateway":"4f","quotas":` + released + "}}"
		if stdout, _, code := execute(t, "quota", "release", "4f", "--address", serve(t, 200, answer).address()); code != 0 || stdout != want+quotaText {
			t.Errorf("%d, %s", code, stdout)
		}
	}
	if _, stderr, code := execute(t, "quota", "release", "", "--address", g.address()); code != 2 || !strings.Contains(stderr, "GATEWAY is empty") {
		t.Errorf("%d, %q", code, stderr)
	}
	if got := g.bodies()[0]; got != `{"release":"4f1c2a9b7d3e"}` {
		t.Errorf("it sent %s", got)
	}
}
