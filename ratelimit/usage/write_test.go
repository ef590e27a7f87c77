package usage

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// some are the lines of a line store.
func some(t *testing.T) []Line {
	t.Helper()
	b := newStore(t)
	b.over = 1
	b.update(used("one", "f", 0, 1_999_999), used("two", "a,\"b\"\n", 1, 1_000_002), used("one", "f", 1, 5))
	return b.lines()
}

func sequence(lines []Line, err error) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
		if err != nil {
			yield(Line{}, err)
		}
	}
}

// lineFormats are those that have the columns of lines.
var lineFormats = []string{string(CSV), string(JSONL), string(Parquet)}

// All formats have the same lines, with the columns of docs/billing.md in their order.
func TestWrite(t *testing.T) {
	lines := some(t)
	want := Totals{Rows: 3, Quantity: 3_000_006, AmountMinor: 400, Currency: "USD"}
	written := make(map[Format][]byte)
	for _, format := range lineFormats {
		var out bytes.Buffer
		got, err := Write(&out, Format(format), sequence(lines, nil))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", format, got, err)
		}
		written[Format(format)] = out.Bytes()
		broken := errors.New("broken")
		if _, err := Write(io.Discard, Format(format), sequence(lines, broken)); !errors.Is(err, broken) {
			t.Errorf("%s: %v", format, err)
		}
	}
	for _, format := range []Format{"xml", FOCUS} {
		if _, err := Write(io.Discard, format, sequence(lines, nil)); err == nil {
			t.Errorf("%s is not of lines", format)
		}
	}
	names := []string{
		"schema", "ledger_id", "line_id", "revision", "period", "account_id", "plan", "plan_rev", "project_id", "function_id", "region", "class",
		"window_start", "window_end", "unit", "quantity", "quantity_orphan", "quantity_void", "cum_before", "cum_after", "included",
		"overage_quantity", "packages", "amount_minor", "currency", "state", "first_seq_digest", "source_instances", "sha256", "period_start",
	}
	rows, err := csv.NewReader(bytes.NewReader(written[CSV])).ReadAll()
	if err != nil || len(rows) != 4 || !slices.Equal(rows[0], names) || rows[1][0] != SchemaV1 || rows[3][29] != "" || rows[1][12] != "2026-11-01T00:00:00Z" || rows[2][9] != lines[1].FunctionID {
		t.Errorf("%q, %v", rows, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(written[JSONL]))
	for i := range lines {
		var l Line
		if err := decoder.Decode(&l); err != nil || l != lines[i] || !l.Intact() {
			t.Errorf("JSONL: %+v, %v", l, err)
		}
	}
	read, err := parquet.Read[Line](bytes.NewReader(written[Parquet]), int64(len(written[Parquet])))
	if err != nil || !slices.Equal(read, lines) {
		t.Errorf("Parquet: %+v, %v", read, err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(written[Parquet]), int64(len(written[Parquet])))
	if err != nil {
		t.Fatal(err)
	}
	for i, column := range file.Schema().Columns() {
		if column[0] != names[i] {
			t.Errorf("Parquet: column %d is %s, want %s", i, column[0], names[i])
		}
	}
}

// Export of lines by format, in lines a second; memory does not depend on how many.
func BenchmarkWrite(b *testing.B) {
	start := month
	e := entry{End: start.Add(3600e9).Unix(), Price: pro(), State: Final, Revision: 1, Sources: []Source{{Instance: "a", First: 1, Invocations: 1000, Completed: 1000}}}
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			key := Key{Organization: "acme", Period: "2026-11", Project: "p", Region: "eu"}
			charges := func(yield func(Charge, error) bool) {
				for i := range b.N {
					key.Start, key.Function = start, strconv.Itoa(i%1000)
					if !yield(e.charge(key, begun{}, metering.Period{}), nil) {
						return
					}
				}
			}
			var err error
			if format == string(FOCUS) {
				_, err = WriteFOCUS(io.Discard, FOCUSOptions{}, charges)
			} else {
				_, err = Write(io.Discard, Format(format), func(yield func(Line, error) bool) {
					for c := range charges {
						if !yield(c.Line, nil) {
							return
						}
					}
				})
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
