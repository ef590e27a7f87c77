package billing

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// findingsAt returns what VerifyDirectory finds.
func findingsAt(dir string) ([]metering.Finding, error) {
	answer, err := VerifyDirectory(dir)
	return answer.Findings, err
}

// At rest as many records are read as in use, by verify and by recover, also where a file is damaged.
func TestVerifyCountsRecords(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(3)
	inUse, err := f.Verify()
	if err != nil || inUse.Records < 6 {
		t.Fatalf("%+v, %v", inUse, err)
	}
	f.end()
	damaged := copied(t, f.dir)
	names, err := filepath.Glob(filepath.Join(damaged, "inst", "*", "dict.seg"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := os.Truncate(names[0], 10); err != nil {
		t.Fatal(err)
	}
	for dir, ok := range map[string]bool{f.dir: true, damaged: false} {
		for name, read := range map[string]func(string) (VerifyAnswer, error){"verify": VerifyDirectory, "recover": RecoverDirectory} {
			at := dir
			if name == "recover" {
				at = copied(t, dir)
			}
			answer, err := read(at)
			if err != nil || answer.Records < inUse.Records || answer.OK != (ok || name == "recover") || answer.OK && ok && len(answer.Findings) > 0 {
				t.Errorf("%s of %s: %+v, %v, want %d records", name, at, answer, err, inUse.Records)
			}
		}
	}
}

// A line that has more than the ledger counted is found, while the gateway runs and at rest; one that is behind is none. The next
// update sets it right.
func TestVerifyLines(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(3)
	verify := func() []metering.Finding {
		t.Helper()
		answer, err := f.Verify()
		if err != nil || answer.OK != (len(answer.Findings) == 0) || answer.Records < 3 {
			t.Fatalf("%+v, %v", answer, err)
		}
		return answer.Findings
	}
	atRest := func() []metering.Finding {
		t.Helper()
		found, err := findingsAt(copied(t, f.dir))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := append(verify(), atRest()...); len(found) > 0 {
		t.Fatalf("%+v", found)
	}
	f.call(2, called) // the lines are behind
	if found := append(verify(), atRest()...); len(found) > 0 {
		t.Fatalf("%+v", found)
	}
	sums, err := f.open.ledger.Usage()
	if err != nil {
		t.Fatal(err)
	}
	for i := range sums {
		sums[i].Invocations += 4
	}
	in := usage.UpdateInput{
		Now:      f.clock.now(),
		Sums:     hourlySums(sums, begins.AddDate(-1, 0, 0), make(Totals)),
		Price:    priceOf(f.plan, f.open.terms),
		Complete: settledBy(f.clock.now()),
	}
	if _, err := f.open.lines.Update(in); err != nil {
		t.Fatal(err)
	}
	for _, found := range [][]metering.Finding{verify(), atRest()} {
		if len(found) != 2 || !strings.HasSuffix(found[0].File, "billing.db") || !strings.Contains(found[0].What, "has 7 invocations") || !strings.Contains(found[0].What, "whose ledger has 3") {
			t.Errorf("%+v", found)
		}
	}
	f.lines()
	if found := verify(); len(found) > 0 {
		t.Errorf("it was not set right: %+v", found)
	}
	f.end()
	if found, err := findingsAt(t.TempDir()); !errors.As(err, new(*metering.NoLedgerError)) {
		t.Errorf("%+v, %v", found, err)
	}
}

// Logs that were set back to an older copy beside the billing.db of now are an error in the log at the next start, once; whole ones are none.
func TestLedgerOlderThanItsBills(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(3)
	f.end()
	inst, older := filepath.Join(f.dir, "inst"), t.TempDir()
	if err := os.CopyFS(older, os.DirFS(inst)); err != nil {
		t.Fatal(err)
	}
	const told = "the ledger is older than the lines of its bills"
	f = reopen(t, f.dir, f.clock, account("acme", soft, pays))
	f.call(4, called)
	f.lines()
	f.end()
	if n := f.logs.count(told); n > 0 {
		t.Errorf("a whole ledger is told of %d times", n)
	}
	if err := errors.Join(os.RemoveAll(inst), os.CopyFS(inst, os.DirFS(older))); err != nil {
		t.Fatal(err)
	}
	f = reopen(t, f.dir, f.clock, account("acme", soft, pays))
	f.lines()
	f.lines()
	if n := f.logs.count(`"ERROR"`, told, "acme, p/f"); n != 1 {
		t.Errorf("told %d times: %s", n, f.logs.text.String())
	}
}

// While billing.db is damaged, the engine says that no bills are made, and which file that is; with a whole file, it goes on.
func TestNoBills(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.final(3)
	path := filepath.Join(f.dir, "billing.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(want State) {
		t.Helper()
		_, err := f.Update(t.Context())
		state, why := f.BillsState()
		if state != want || (err == nil) != (want == StateUp) {
			t.Fatalf("%s, %v; the update: %v", state, why, err)
		}
		if why != nil && (strings.Count(why.Error(), path) != 1 || !strings.Contains(why.Error(), mended) || !strings.Contains(why.Error(), "no bills are made")) {
			t.Errorf("%v", why)
		}
	}
	check(StateUp)
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), len(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	check(StateDegraded)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	check(StateUp)
}
