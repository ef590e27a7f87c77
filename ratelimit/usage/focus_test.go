package usage

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Files of all versions keep the rules, with all that can be in a bill, and an invoice is the sum of its rows.
func TestFOCUS(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		l := newLedger(t, seed)
		for range 90 {
			l.pass()
		}
		bills := l.bills(func(*Charge) bool { return true })
		for _, version := range FOCUSVersions() {
			f := l.export(FOCUSOptions{Version: version})
			l.clean(f, version, bills)
			lines, functions := 0, make(map[string]bool)
			for line := range l.Lines(func(organization, _ string) bool { return organization != "" }) {
				if line.Quantity > 0 {
					lines++
				}
			}
			for _, r := range f.rows {
				functions[r["ResourceName"]] = true
			}
			if len(f.rows) != lines || !functions["a,\"b\"\n"] || !functions[" ü; =1+1"] { // StringHandling: as they were given
				t.Errorf("%d rows of %d lines, of %v", len(f.rows), lines, functions)
			}
		}
	}
}

// DeliveryHandling, CorrectionHandling: rows of all files add up to the lines, whatever was corrected; those of an invoice to the bill as it
// was when it first was final, what came after that is a Correction in a later period. Whoever adds up needs to leave nothing out.
func TestFOCUSFilesAddUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		l := newLedger(t, seed)
		sink := &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: FOCUS}
		for half := range 100 {
			l.pass()
			if half%5 == 0 { // ends at some step now and then
				_, _ = l.Drain(t.Context(), &stumbling{sink, 1 + l.random.IntN(3)})
			}
		}
		for k, n := range l.late {
			l.hear(k, n)
		}
		l.update()
		bills := l.bills(func(*Charge) bool { return true })
		maps.Copy(bills, l.closed)
		if _, err := l.Drain(t.Context(), sink); err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(filepath.Join(sink.Dir, "usage-*.focus.csv"))
		if err != nil || len(names) < 10 {
			t.Fatalf("%q, %v", names, err)
		}
		var all focusFile
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f := readFOCUS(t, content)
			all.header, all.rows = f.header, append(all.rows, f.rows...)
		}
		l.clean(all, FOCUS14, bills)
		reversed, late := 0, 0
		for i, r := range all.rows {
			if r.number("ConsumedQuantity").Sign() < 0 {
				reversed++
				next := focusFile{rows: all.rows[i:min(i+2, len(all.rows))]}
				same := func(name string) bool { return next.sums(name, "x_LineId")[r["x_LineId"]].Sign() == 0 }
				if same("ConsumedQuantity") && same("BilledCost") && same("PricingQuantity") {
					t.Errorf("%v is taken back, and comes again as it was", r)
				}
			}
			if r["ChargeClass"] != "" {
				late++
			}
		}
		if reversed == 0 || late == 0 {
			t.Errorf("seed %d: %d rows are taken back, %d came after the bill", seed, reversed, late)
		}
		want := l.export(FOCUSOptions{})
		for _, name := range []string{"BilledCost", "ListCost", "EffectiveCost", "ContractedCost", "ConsumedQuantity", "PricingQuantity"} {
			got := all.sums(name, "x_LineId", "ChargePeriodStart", "BillingAccountId", "SubAccountId", "ResourceId", "RegionId", "SkuPriceId")
			for key, n := range want.sums(name, "x_LineId", "ChargePeriodStart", "BillingAccountId", "SubAccountId", "ResourceId", "RegionId", "SkuPriceId") {
				if got[key] == nil || got[key].Cmp(n) != 0 {
					t.Errorf("%s of %q: the files have %v, the line %v", name, key, got[key], n)
				}
				delete(got, key)
			}
			for key, n := range got {
				if n.Sign() != 0 {
					t.Errorf("%s of %q: %v, and there is no such line", name, key, n)
				}
			}
		}
	}
}

// A bill that was final is not open again when it is not known any more that nothing is missing.
func TestFOCUSStaysClosed(t *testing.T) {
	b, known := newStore(t), true
	update := func(at time.Time, sums ...Sum) {
		t.Helper()
		_, err := b.Update(UpdateInput{
			Now:      at,
			Sums:     sums,
			Price:    func(string) (Price, bool) { return b.price, true },
			Complete: func(end time.Time) bool { return known && !end.After(at) },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	december := month.AddDate(0, 1, 0)
	update(december, used("one", "f", 700, 7))
	update(december.Add(time.Hour), used("one", "g", 700, 1)) // it was known that nothing is missing
	known = false
	update(december.Add(2*time.Hour), used("two", "h", 700, 2))
	known = true
	update(december.Add(3 * time.Hour))
	batch, err := b.Changes(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	late := make(map[string]bool)
	for c, err := range batch.Charges() {
		if err != nil {
			t.Fatal(err)
		}
		late[c.FunctionID] = c.Late
		if c.Late != (c.Billed.ID == "2026-12") {
			t.Errorf("%+v", c)
		}
	}
	if want := map[string]bool{"f": false, "g": true, "h": true}; !maps.Equal(late, want) {
		t.Errorf("late are %v, want %v", late, want)
	}
}

// Every rule is found broken where it is: the checks above see something.
func TestFOCUSRulesSee(t *testing.T) {
	t.Parallel()
	l := newLedger(t, 9)
	for range 4 {
		l.pass()
	}
	bills := l.bills(func(*Charge) bool { return true })
	good := l.export(FOCUSOptions{})
	spoiled := func(rule string, spoil func(f *focusFile)) {
		t.Helper()
		f := focusFile{header: slices.Clone(good.header)}
		for _, r := range good.rows {
			f.rows = append(f.rows, maps.Clone(r))
		}
		spoil(&f)
		if f.broken(FOCUS14, bills)[rule] == "" {
			t.Errorf("%s is broken, and not seen", rule)
		}
	}
	// in has a row with other values, one that has a price.
	in := func(values focusRow) func(f *focusFile) {
		return func(f *focusFile) {
			at := slices.IndexFunc(f.rows, func(r focusRow) bool { return r.number("BilledCost").Sign() > 0 })
			maps.Copy(f.rows[at], values)
		}
	}
	bad := map[focusKind][]string{
		plain: {"NULL", "N/A", " ", "Not Applicable"}, decimal: {"1,5", "+1", "1e3", "$2", "2.", ".5", "1/2"},
		moment: {"2026-11-01", "2026-11-01 00:00:00Z", "2026-11-01T00:00:00+01:00", "2026-13-01T00:00:00Z", "2026-11-01T00:00:00.5Z"}, currencyCode: {"usd", "US", "US1"},
		unitOf: {"requests", "1,000 Requests", "Request/", "1e6 Requests"}, object: {"[]", "x", `{"x_A":{"x_B":1}}`, `{"A":1}`, `{"x_A":1,"x_A":2}`},
	}
	for _, s := range focusSpecs {
		if !s.in(FOCUS14) {
			spoiled("CostAndUsage: "+s.name+" present", func(f *focusFile) { f.header = append(f.header, s.name) })
			continue
		}
		spoiled("CostAndUsage: "+s.name+" present", func(f *focusFile) { f.header = slices.DeleteFunc(f.header, func(n string) bool { return n == s.name }) })
		if !s.null {
			spoiled(s.name+": null", in(focusRow{s.name: ""}))
		}
		if s.allowed != nil {
			spoiled(s.name+": allowed values", in(focusRow{s.name: "usage"}))
		}
		for _, value := range bad[s.kind] {
			spoiled(s.name+": format", in(focusRow{s.name: value}))
		}
	}
	for _, rule := range focusRules {
		spoiled(rule.id, in(rule.spoil))
	}
	for rule, c := range focusOnes {
		spoiled(rule, func(f *focusFile) {
			for i, r := range f.rows {
				r[c[0]], r[c[1]] = "the same", strconv.Itoa(i)
			}
		})
	}
	for rule, header := range map[string][]string{
		"ColumnHandling: custom columns": {"LineId"}, "ColumnHandling: order": {"x_LineId", "BilledCost"}, "ColumnHandling: once": {"BilledCost", "BilledCost"},
		"ColumnHandling: names": {"billed_cost"},
	} {
		spoiled(rule, func(f *focusFile) { f.header = append(f.header, header...) })
	}
	const sum = "BilledCost: sum of an invoice"
	spoiled(sum, in(focusRow{"BilledCost": "0.01"}))
	spoiled(sum, in(focusRow{"InvoiceId": "another"}))
	spoiled(sum, func(f *focusFile) { f.rows = append(f.rows, f.rows...) })
	spoiled(sum, func(f *focusFile) { f.rows = nil })
}

// DatasetConfiguration: files have the columns that are asked for, with the same values.
func TestFOCUSColumns(t *testing.T) {
	l := newLedger(t, 2)
	l.pass()
	whole, f := l.export(FOCUSOptions{}), l.export(FOCUSOptions{Version: FOCUS12, Columns: []string{"x_LineId", "BilledCost", "ProviderName"}})
	if !slices.Equal(f.header, []string{"BilledCost", "ProviderName", "x_LineId"}) || len(f.rows) != len(whole.rows) || len(f.rows) == 0 {
		t.Fatalf("%q, %d rows of %d", f.header, len(f.rows), len(whole.rows))
	}
	for i, r := range f.rows {
		if r["BilledCost"] != whole.rows[i]["BilledCost"] || r["x_LineId"] != whole.rows[i]["x_LineId"] || r["ProviderName"] == "" {
			t.Errorf("%v, whole it is %v", r, whole.rows[i])
		}
	}
	for _, o := range []FOCUSOptions{{Version: "1.1"}, {Columns: []string{"ProviderName"}}, {Version: FOCUS12, Columns: []string{"HostProviderName"}}, {Columns: []string{""}}} {
		if _, err := WriteFOCUS(io.Discard, o, l.Charges(func(string, string) bool { return true })); err == nil || o.Validate() == nil {
			t.Errorf("%+v is not refused", o)
		}
	}
}

// DatasetCompleteness: what lines have is in files of FOCUS, or is left out on purpose (docs/billing.md).
func TestFOCUSIsComplete(t *testing.T) {
	left := []string{"schema", "ledger_id", "class", "quantity_orphan", "quantity_void", "cum_before", "cum_after", "included", "overage_quantity", "first_seq_digest", "source_instances"}
	there := []string{
		"line_id", "revision", "period", "account_id", "plan", "plan_rev", "project_id", "function_id", "region", "window_start", "window_end", "unit",
		"quantity", "packages", "amount_minor", "currency", "state", "sha256", "period_start",
	}
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "billing.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range columns {
		if slices.Contains(left, c.name) == slices.Contains(there, c.name) {
			t.Errorf("is %s in files of FOCUS?", c.name)
		}
	}
	_, after, _ := bytes.Cut(docs, []byte("## FOCUS"))
	for _, name := range left {
		if !bytes.Contains(after, []byte("`"+name+"`")) {
			t.Errorf("docs/billing.md does not say that %s is left out", name)
		}
	}
}
