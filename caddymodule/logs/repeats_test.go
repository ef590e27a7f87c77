package logs

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// The counts of all lines add up to the calls, whatever the causes and the times.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		logger, r := zap.New(core), NewRepeats()
		refused := FailedCall{Message: NotAnswered, Region: "eu", Status: 503, Code: "REGION_UNAVAILABLE", Cause: "refused"}
		count := func() (lines, calls int) {
			for _, entry := range logs.TakeAll() {
				lines++
				calls += int(entry.ContextMap()["count"].(int64))
			}
			return lines, calls
		}
		r.Add(logger, refused, Example{RequestID: "first"})
		if lines, calls := count(); lines != 1 || calls != 1 {
			t.Errorf("the first: %d lines, %d calls", lines, calls)
		}
		for range 381 {
			r.Add(logger, refused, Example{RequestID: "later"})
		}
		if lines, _ := count(); lines != 0 {
			t.Errorf("%d lines within the second", lines)
		}
		time.Sleep(repeatsEvery)
		synctest.Wait()
		if lines, calls := count(); lines != 1 || calls != 381 {
			t.Errorf("the sum: %d lines, %d calls", lines, calls)
		}
		r.Add(logger, refused, Example{}) // goes on: no line at once
		time.Sleep(repeatsEvery)
		synctest.Wait()
		if lines, calls := count(); lines != 1 || calls != 1 {
			t.Errorf("the next second: %d lines, %d calls", lines, calls)
		}
		time.Sleep(2 * repeatsEvery)
		synctest.Wait()
		if len(r.causes) != 0 || r.timer != nil {
			t.Errorf("%d causes and a timer are kept though nothing happens", len(r.causes))
		}

		cut := FailedCall{Message: BrokenOff, Project: "p", Function: "f", Status: 200, Outcome: "backend_cut", Cause: "unexpected EOF"}
		for range 10 {
			r.Add(logger, cut, Example{BytesOut: 5})
		}
		time.Sleep(repeatsEvery)
		synctest.Wait()
		for _, entry := range logs.All() {
			if f := entry.ContextMap(); entry.Message != BrokenOff || f["outcome"] != "backend_cut" || f["bytes_out"] != int64(5) || f["code"] != nil {
				t.Errorf("an answer that broke off: %s %v", entry.Message, f)
			}
		}
		if lines, calls := count(); lines != 2 || calls != 10 {
			t.Errorf("answers that broke off: %d lines, %d calls", lines, calls)
		}
		time.Sleep(2 * repeatsEvery)
		synctest.Wait()

		const many = 3 * mostCauses
		for i := range many {
			other := refused
			other.Function = fmt.Sprint(i)
			r.Add(logger, other, Example{})
		}
		if len(r.causes) > mostCauses+1 {
			t.Errorf("%d causes are kept", len(r.causes))
		}
		if err := r.Destruct(); err != nil {
			t.Fatal(err)
		}
		if lines, calls := count(); calls != many || lines > mostCauses+2 {
			t.Errorf("many causes: %d lines, %d calls", lines, calls)
		}
	})
}
