package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// book is a book with three hours, of which two are over.
func book(t *testing.T, used int64) *usage.LineStore {
	t.Helper()
	b := usage.NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger")
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var sums []usage.Sum
	for i := range 3 {
		at := start.Add(time.Duration(i) * time.Hour)
		sums = append(sums, usage.Sum{
			Key:     usage.Key{Organization: "acme", Period: "2026-11", Start: at, End: at.Add(time.Hour), Project: "p", Function: "f", Region: "eu"},
			Sources: []usage.Source{{Instance: "one", First: 1, Invocations: used, Completed: used}},
		})
	}
	terms := func(string) (usage.Price, bool) { return usage.Price{Included: -1, Currency: "USD"}, true }
	if _, err := b.Update(usage.UpdateInput{
		Now:      start,
		Sums:     sums,
		Price:    terms,
		Complete: func(end time.Time) bool { return end.Before(start.Add(3 * time.Hour)) },
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

func lines(t *testing.T, b *usage.LineStore, path string, format usage.Format) string {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := usage.Write(file, format, b.Lines(func(string, string) bool { return true })); err != nil {
		t.Fatal(err)
	}
	return path
}

// reconciler is a gateway with levels and lines.
func reconciler(t *testing.T, levels string, b *usage.LineStore) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "reconcile") {
			_, _ = w.Write([]byte(levels))
			return
		}
		w.Header().Set("Trailer", gateway.TotalsTrailer)
		totals, err := usage.Write(w, usage.JSONL, b.Lines(func(string, string) bool { return true }))
		text, _ := json.Marshal(totals)
		if w.Header().Set(gateway.TotalsTrailer, string(text)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return (&fakeGateway{Server: server}).address()
}

const (
	levelsSame = `{"levels":[{"level":"R0","what":"records in the logs","expected":1234,"found":1234,"difference":0}],"ok":true}`
	levelsBad  = `{"levels":[{"level":"R0","what":"records in the logs","expected":1234,"found":1233,"difference":1,"first":"record 17"}],"ok":false}`
)

func TestUsageReconcile(t *testing.T) {
	same := book(t, 10)
	address := reconciler(t, levelsSame, same)
	const table = "LEVEL  WHAT                 EXPECTED  FOUND  DIFFERENCE\nR0     records in the logs  1,234     1,234  0\n"
	if stdout, stderr, code := execute(t, "usage", "reconcile", "--address", address); stdout != table || stderr != "" || code != 0 {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	bad := reconciler(t, levelsBad, same)
	if stdout, _, code := execute(t, "usage", "reconcile", "--address", bad, "--deep"); !strings.Contains(stdout, "R0: record 17\n") || code != 1 {
		t.Errorf("%d, %q", code, stdout)
	}
	if stdout, _, code := execute(t, "usage", "reconcile", "--address", bad, "-o", "json"); !strings.Contains(stdout, `"ok": false`) || code != 1 {
		t.Errorf("%d, %q", code, stdout)
	}
	for _, wrong := range [][]string{{"--against", "usage.csv"}, {"--against", "file:usage.xls"}, {"--period", "x"}, {"-o", "xml"}} {
		if _, _, code := execute(t, append([]string{"usage", "reconcile"}, wrong...)...); code != 2 {
			t.Errorf("%q: %d", wrong, code)
		}
	}
}

// A file has what was billed, is older than what is billed now, or is wrong.
func TestUsageReconcileAgainstAFile(t *testing.T) {
	dir, same := t.TempDir(), book(t, 10)
	address := reconciler(t, levelsSame, same)
	against := func(path string) (stdout, stderr string, code int) {
		t.Helper()
		return execute(t, "usage", "reconcile", "--deep", "--address", address, "--against", "file:"+path)
	}
	for _, format := range []usage.Format{usage.CSV, usage.JSONL, usage.Parquet} {
		stdout, stderr, code := against(lines(t, same, filepath.Join(dir, "same."+string(format)), format))
		if code != 0 || stderr != "" || !strings.Contains(stdout, "30        30     0\n") {
			t.Errorf("%s: %d, %s, %q", format, code, stdout, stderr)
		}
	}
	other := lines(t, book(t, 11), filepath.Join(dir, "other.csv"), usage.CSV)
	if stdout, _, code := against(other); code != 1 || !strings.Contains(stdout, "R4: line ") {
		t.Errorf("another bill: %d, %s", code, stdout)
	}
	// Without its last line, which was not there yet.
	text, err := os.ReadFile(lines(t, same, filepath.Join(dir, "whole.jsonl"), usage.JSONL))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.SplitAfter(string(text), "\n")
	for name, tt := range map[string]struct {
		text string
		code int
	}{
		"older.jsonl": {rows[0] + rows[1], 3}, "gap.jsonl": {rows[0] + rows[2], 1},
		"changed.jsonl": {strings.Replace(string(text), `"quantity":10`, `"quantity":11`, 1), 1},
		"torn.jsonl":    {string(text[:len(text)-9]), 1},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if stdout, stderr, code := against(path); code != tt.code {
			t.Errorf("%s: %d, %s, %s", name, code, stdout, stderr)
		}
	}
	if _, stderr, code := against(filepath.Join(dir, "none.csv")); code != 1 || !strings.Contains(stderr, "no such file") {
		t.Errorf("%d, %s", code, stderr)
	}
}
