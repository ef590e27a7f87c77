package quota

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// The target is one of the median, of batches of 64: the mean has in it what the other processor adds up, and the disk
// that three million invocations a second keep busy.
func BenchmarkTakeAndAdmit(b *testing.B) {
	const batch = 64
	dir := b.TempDir()
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	q := NewManager(ledger, NewEmbedded(dir, time.Now))
	defer func() { q.Close(b.Context()); _ = ledger.Close() }()
	for name, allowance := range map[string]Allowance{"hard": hard(1 << 50), "soft": {Quota: 1 << 50}} {
		b.Run(name, func(b *testing.B) {
			subject := metering.Subject{Organization: name, Project: "abcdefghijklmnopqrst", Function: "hello-world"}
			took := make([]time.Duration, 0, b.N/batch+1)
			b.ReportAllocs()
			b.ResetTimer()
			began := time.Now()
			for i := range b.N {
				unit, err := q.Take(context.Background(), name, &allowance)
				if err != nil {
					b.Fatal(err)
				}
				id, err := ledger.Subject(subject)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := ledger.Admit(metering.Invocation{Subject: id, Region: 0, At: unit.At}); err != nil {
					b.Fatal(err)
				}
				if i%batch == batch-1 {
					now := time.Now()
					took = append(took, now.Sub(began))
					began = now
				}
			}
			b.StopTimer()
			if len(took) > 0 {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2])/batch, "p50-ns/op")
			}
		})
	}
}
