package usage_test

import (
	"io"
	"iter"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// storeOf is a line store with so many lines, of a hundred invocations each: of two hundred records of the ledger.
func storeOf(t *testing.T, lines int) *usage.LineStore {
	t.Helper()
	store := usage.NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger")
	store.NoSync()
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	const functions = 500
	for first := 0; first < lines; first += functions {
		at := start.Add(time.Duration(first/functions) * time.Hour)
		sums := make([]usage.Sum, 0, functions)
		for i := range min(functions, lines-first) {
			sums = append(sums, usage.Sum{
				Key:     usage.Key{Organization: "acme", Period: "2026-11", Start: at, End: at.Add(time.Hour), Project: "p", Function: strconv.Itoa(i), Region: "eu"},
				Sources: []usage.Source{{Instance: "one", First: 1, Invocations: 100, Completed: 100}},
			})
		}
		_, err := store.Update(usage.UpdateInput{
			Now:      at.Add(2 * time.Hour),
			Sums:     sums,
			Price:    func(string) (usage.Price, bool) { return soldPrice, true },
			Complete: func(time.Time) bool { return true },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// measured is a sequence of which each step is noticed.
func measured[T any](all iter.Seq2[T, error], notice func()) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range all {
			if notice(); !yield(v, err) {
				return
			}
		}
	}
}

// An export of what ten million records of the ledger say needs no more memory than one of half of it.
func TestExportInConstantMemory(t *testing.T) {
	const lines = 50_000
	small, large := storeOf(t, lines/2), storeOf(t, lines)
	for _, format := range usage.Formats() {
		peak := func(store *usage.LineStore) (highest uint64) {
			n, start, all := 0, time.Now(), func(string, string) bool { return true }
			measure := func() {
				if n++; n%2500 == 0 {
					var stats runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&stats)
					highest = max(highest, stats.HeapAlloc)
				}
			}
			var totals usage.Totals
			var err error
			if usage.Format(format) == usage.FOCUS {
				totals, err = usage.WriteFOCUS(io.Discard, usage.FOCUSOptions{}, measured(store.Charges(all), measure))
			} else {
				totals, err = usage.Write(io.Discard, usage.Format(format), measured(store.Lines(all), measure))
			}
			if err != nil || totals.Quantity != 100*int64(n) {
				t.Fatalf("%+v, %v", totals, err)
			}
			t.Logf("%s: %d lines, %.0f a second with all measuring", format, n, float64(n)/time.Since(start).Seconds())
			return highest
		}
		few, many := peak(small), peak(large)
		for range 3 { // encoders that wait in pools for their next use count too, now and then
			if many > few+(8<<20) {
				many = min(many, peak(large))
			}
		}
		if many > few+(8<<20) {
			t.Errorf("%s: %d bytes of heap for %d lines, %d for %d", format, few, lines/2, many, lines)
		}
	}
}
