package webhook_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestEnvelope pins the bytes of a batch: receivers verify signatures over them.
func TestEnvelope(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	line := func(account, region, function string) usage.Message {
		l := &usage.Line{
			Schema:      usage.SchemaV1,
			LedgerID:    "0123456789abcdef",
			LineID:      "00112233445566778899aabbccddeeff",
			Revision:    2,
			Period:      "2026-11",
			AccountID:   account,
			Plan:        "pro",
			ProjectID:   "p",
			FunctionID:  function,
			Region:      region,
			WindowStart: start,
			WindowEnd:   start.Add(time.Hour),
			Quantity:    1 << 53,
			AmountMinor: -200,
			Currency:    "USD",
			State:       usage.Correction,
		}
		item := usage.Item{ID: l.LineID, Account: account, Start: start, End: l.WindowEnd, Value: l.Quantity, Line: l}
		return usage.Message{Item: item, Revision: 2, Delta: -3, Paid: -200, Tries: 1}
	}
	odd := line("<a&b>\u2028\"\\\x01", "eu", "\u00e9\xff")
	odd.Start = start.Add(1500 * time.Millisecond).In(time.FixedZone("", 3600))
	period := line("acme", "eu", "hello")
	period.Line.Schema, period.Line.PeriodStart = usage.Schema, start
	alone := line("acme", "eu", "hello")
	alone.Alone = "4f1c2a9b7d3e"
	for name, messages := range map[string][]usage.Message{
		"one":    {line("acme", "eu", "hello")},
		"batch":  {line("acme", "eu", "hello"), line("", "", ""), odd},
		"period": {period},
		"alone":  {alone},
	} {
		body := sent(t, messages)
		golden := filepath.Join("testdata", "envelope-"+name+".json")
		if *update {
			if err := os.WriteFile(golden, body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(body, want) {
			t.Errorf("%s: %s\nwant %s", name, body, want)
		}
	}
}

// sent returns the body of the call that Send makes for messages.
func sent(t *testing.T, messages []usage.Message) []byte {
	t.Helper()
	calls, _, err := sendAll(t, webhook.Config{}, messages, acknowledge)
	if err != nil || len(calls) != 1 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	return []byte(calls[0].body)
}
