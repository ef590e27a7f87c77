package billing

import (
	"log/slog"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// invocation counts a request that becomes an invocation.
func invocation(tb testing.TB, e *Engine, allowance *quota.Allowance) {
	tb.Helper()
	r := e.Receive()
	if err := r.Take(tb.Context(), "acme", allowance); err != nil {
		tb.Fatal(err)
	}
	if err := r.Send(&Dispatch{Subject: called.Subject, Slug: "f", Region: "eu"}); err != nil {
		tb.Fatal(err)
	}
	if err := r.Finish(metering.Ending{Status: 200, Attempts: 1}); err != nil {
		tb.Fatal(err)
	}
}

// Counting an invocation from its arrival to its end allocates nothing.
func TestInvocationAllocatesNothing(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	hard := quota.Allowance{Quota: 1 << 40, Hard: true}
	for name, allowance := range map[string]*quota.Allowance{"without a limit": &soft, "of a hard quota": &hard} {
		invocation(t, f.Engine, allowance) // makes the names and the window known
		if n := testing.AllocsPerRun(1000, func() { invocation(t, f.Engine, allowance) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkInvocation measures what counting adds to an invocation.
func BenchmarkInvocation(b *testing.B) {
	e := NewEngine(b.TempDir())
	if err := e.Start(Settings{Sync: metering.SyncNone, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		invocation(b, e, &soft)
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
