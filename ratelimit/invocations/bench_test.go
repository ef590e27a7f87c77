package invocations_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// benchmarkRecords is how many records the benchmarks read: an admission and an end for each invocation.
const benchmarkRecords = 10_000_000

// generated is a ledger of a busy hour: 200 functions in three regions, eight calls at a time. With archives, only its last
// segments are none.
func generated(b *testing.B, records int, archives bool) *metering.Ledger {
	b.Helper()
	dir := b.TempDir()
	l := openBenchmark(b, dir)
	calls := benchmarkCalls(b, l)
	random := rand.New(rand.NewPCG(1, 2))
	type running struct {
		seq  uint64
		call metering.Invocation
	}
	var open []running
	at := time.Now().Add(-time.Hour)
	for range records / 2 {
		at = at.Add(time.Duration(random.ExpFloat64()*700) * time.Microsecond)
		call := calls[random.IntN(len(calls))*random.IntN(len(calls))/len(calls)]
		call.At = at
		seq, err := l.Begin(call)
		if err != nil {
			b.Fatal(err)
		}
		open = append(open, running{seq, call})
		if len(open) < 8 {
			continue
		}
		i := random.IntN(len(open))
		e := metering.Ending{
			Status:   []int{200, 200, 200, 404, 500}[random.IntN(5)],
			Attempts: 1,
			Duration: time.Duration(math.Exp(random.NormFloat64()) * float64(20*time.Millisecond)),
			BytesOut: uint64(300 + random.IntN(2000)),
		}
		if err := l.Done(open[i].seq, open[i].call, e); err != nil {
			b.Fatal(err)
		}
		open[i] = open[len(open)-1]
		open = open[:len(open)-1]
	}
	if !archives {
		return l
	}
	closeLedger(b, l)
	l = openBenchmark(b, dir)
	for range 6000 {
		segments, _ := filepath.Glob(filepath.Join(dir, "inst", "*", "wal", "*.seg"))
		if len(segments) <= 2 {
			return l
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.Fatal("not archived within ten minutes")
	return nil
}

func openBenchmark(b *testing.B, dir string) *metering.Ledger {
	b.Helper()
	l, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	l.SetSync(metering.SyncNone)
	b.Cleanup(func() { closeLedger(b, l) })
	return l
}

func benchmarkCalls(b *testing.B, l *metering.Ledger) (calls []metering.Invocation) {
	b.Helper()
	for i := range 600 {
		s, err := l.Subject(metering.Subject{Organization: "acme", Project: "shop", Function: "f" + string(rune('a'+i%200))})
		if err != nil {
			b.Fatal(err)
		}
		r, err := l.Region([]string{"eu", "us", "ap"}[i/200])
		if err != nil {
			b.Fatal(err)
		}
		calls = append(calls, metering.Invocation{Subject: s, Region: r})
	}
	return calls
}

// BenchmarkTop adds up ten million records, and says how much memory the answer needed at most. Run it with -cpu 1.
func BenchmarkTop(b *testing.B) {
	for _, form := range []string{"segments", "archives"} {
		b.Run(form, func(b *testing.B) {
			l := generated(b, benchmarkRecords, form == "archives")
			before := settledHeap()
			b.ResetTimer()
			read, peak := uint64(0), before
			for b.Loop() {
				stop, peaks := make(chan struct{}), make(chan uint64)
				go watchHeap(stop, peaks)
				a, err := invocations.Top(context.Background(), l.RecordLogs(), invocations.TopQuery{Query: invocations.Query{Limit: 20}})
				close(stop)
				peak = max(peak, <-peaks)
				if err != nil || len(a.Findings) > 0 {
					b.Fatal(err, a.Findings)
				}
				read += a.Read
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(read), "ns/record")
			b.ReportMetric(float64(peak-before)/(1<<20), "MiB-peak")
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// settledHeap waits until what archived the records has left the heap.
func settledHeap() (size uint64) {
	for range 100 {
		runtime.GC()
		if size = heap(); size < 64<<20 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return size
}

// watchHeap sends the largest heap that it saw.
func watchHeap(stop chan struct{}, peaks chan uint64) {
	peak, tick := uint64(0), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			peaks <- peak
			return
		case <-tick.C:
			peak = max(peak, heap())
		}
	}
}

// BenchmarkCalls records invocations, alone and while a question is answered over and over: what one call costs must be
// about the same, apart from the core that the question takes.
func BenchmarkCalls(b *testing.B) {
	for _, asked := range []bool{false, true} {
		name := "alone"
		if asked {
			name = "while-asked"
		}
		b.Run(name, func(b *testing.B) {
			l := generated(b, benchmarkRecords/10, false)
			call := benchmarkCalls(b, l)[0]
			var stop atomic.Bool
			done := make(chan error, 1)
			if !asked {
				done <- nil
			} else {
				go func() {
					var err error
					for err == nil && !stop.Load() {
						_, err = invocations.Top(context.Background(), l.RecordLogs(), invocations.TopQuery{Query: invocations.Query{Limit: 20}})
					}
					done <- err
				}()
			}
			worst := time.Duration(0)
			for b.Loop() {
				begun := time.Now()
				call.At = begun
				seq, err := l.Begin(call)
				if err == nil {
					err = l.Done(seq, call, metering.Ending{Status: 200})
				}
				if err != nil {
					b.Fatal(err)
				}
				worst = max(worst, time.Since(begun))
			}
			stop.Store(true)
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
		})
	}
}
