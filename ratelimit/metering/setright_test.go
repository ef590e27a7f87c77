package metering

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Whatever somebody writes into a gateway's sums in Redis is set right, and said once.
func TestSumsAreSetRight(t *testing.T) {
	redis := &hashes{t: t}
	conn := redis.open()
	one, two := openLedger(t, t.TempDir()), openLedger(t, t.TempDir())
	defer closeLedger(t, one)
	defer closeLedger(t, two)
	sender, reader := quietMirror(t, one, conn), quietMirror(t, two, conn)
	var told []*DifferedError
	sender.hooks.Trouble = func(err error) {
		var differed *DifferedError
		if !errors.As(err, &differed) {
			t.Errorf("%v", err)
			return
		}
		told = append(told, differed)
	}
	counts(t, one, 5, Cycle{})
	flushed(t, sender)
	if err := sender.register(t.Context(), one.Now()); err != nil {
		t.Fatal(err)
	}
	key, at := sumsKey(shardOf{one.Instance(), Shard("acme")}), one.Now().UTC()
	hour := fmt.Sprintf("h|%s;%s;%s;2|acme|p|", hourID(at.Truncate(time.Hour)), Cycle{}.At(at).ID, one.Origin().Ledger)
	for _, field := range [][2]string{
		{hour + "f|eu|invocations", "4"},
		{hour + "f|eu|invocations", "500"},
		{hour + "f|eu|added", "9"},
		{hour + "ghost|eu|invocations", "50"},
		{"m|" + Cycle{}.At(at).ID + "|acme|p|f|eu|invocations", "1"},
		{"m|2026-01|ghost|p|f|eu|invocations", "1"},
		{"h|2026|acme", "1"},
		{"no", "sum"},
		{hour + "f|eu|completed", "many"},
	} {
		told = nil
		before := sender.Differed()
		redis.put(key, field[0], field[1])
		for range 2 {
			if err := sender.Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) != 1 || told[0].Key != key || cmp.Compare(told[0].Fields, 0) <= 0 {
			t.Errorf("%v: told %v", field, told)
		} else if n := sender.Differed() - before; n != uint64(told[0].Fields) {
			t.Errorf("%v: %d were counted, told were %d", field, n, told[0].Fields)
		}
		all, err := reader.PeerSums(t.Context(), "")
		if err != nil {
			t.Errorf("%v: %v", field, err)
		}
		for _, e := range all {
			if want := map[string]uint64{"f": 5}[e.Subject.Function]; e.Invocations != want || e.Billed() != int64(want) {
				t.Errorf("%v: %+v", field, e)
			}
		}
	}
	told = nil
	for range 40 {
		if err := sender.verifyNext(t.Context()); err != nil || told != nil {
			t.Fatalf("%v, %v", told, err)
		}
	}
}
