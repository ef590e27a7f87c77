package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// told returns the lines of a logger in short.
func told(logs *observer.ObservedLogs) (lines []string) {
	for _, entry := range logs.TakeAll() {
		f := entry.ContextMap()
		lines = append(lines, fmt.Sprintf("%s %v %v: %v->%v (%v) after %v", entry.Level, f["what"], f["name"], f["from"], f["to"], f["why"], f["lasted"]))
	}
	return lines
}

func TestTransitions(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	logger, states := zap.New(core), newTransitions()
	start := time.Unix(1000, 0)
	for i, step := range []struct {
		name string
		all  []condition
		want []string
	}{
		{"first seen: it was unknown", []condition{{"a", "up", ""}, {"b", "unknown", ""}, {"c", "down", "refused"}}, []string{
			"info region a: unknown->up () after 0s", "error region c: unknown->down (refused) after 0s",
		}},
		{"nothing changed, though the reason did", []condition{{"a", "up", ""}, {"b", "unknown", ""}, {"c", "down", "timeout"}}, nil},
		{"each change is a line", []condition{{"a", "degraded", "slow"}, {"b", "up", ""}, {"c", "up", ""}}, []string{
			"warn region a: up->degraded (slow) after 2s", "info region b: unknown->up () after 2s", "info region c: down->up () after 2s",
		}},
		{"what is gone is forgotten", []condition{{"a", "up", ""}}, []string{"info region a: degraded->up () after 1s"}},
		{"and is new when it is back", []condition{{"a", "up", ""}, {"c", "down", "refused"}}, []string{"error region c: unknown->down (refused) after 0s"}},
	} {
		states.observe(logger, start.Add(time.Duration(i)*time.Second), kindRegion, step.all)
		if got := told(logs); !slices.Equal(got, step.want) {
			t.Errorf("%s:\n%s\nwant\n%s", step.name, strings.Join(got, "\n"), strings.Join(step.want, "\n"))
		}
	}
	for kind, want := range map[string][]string{
		kindStore:   {"info store a: unknown->up () after 0s"}, // though a region has its name
		kindKeySet:  {"info key_set a: unknown->up () after 0s"},
		kindLedger:  nil,
		kindQuotas:  nil,
		kindBreaker: {"info breaker a: closed->up () after 0s"},
	} {
		states.observe(logger, start, kind, []condition{{"a", "up", ""}})
		if got := told(logs); !slices.Equal(got, want) {
			t.Errorf("the first of kind %s: %q, want %q", kind, got, want)
		}
	}
}

// The counts of all lines add up to the calls, whatever the causes and the times.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		logger, r := zap.New(core), newRepeats()
		refused := failedCall{message: notAnswered, region: "eu", status: 503, code: "REGION_UNAVAILABLE", cause: "refused"}
		count := func() (lines, calls int) {
			for _, entry := range logs.TakeAll() {
				lines++
				calls += int(entry.ContextMap()["count"].(int64))
			}
			return lines, calls
		}
		r.add(logger, refused, example{requestID: "first"})
		if lines, calls := count(); lines != 1 || calls != 1 {
			t.Errorf("the first: %d lines, %d calls", lines, calls)
		}
		for range 381 {
			r.add(logger, refused, example{requestID: "later"})
		}
		if lines, _ := count(); lines != 0 {
			t.Errorf("%d lines within the second", lines)
		}
		time.Sleep(repeatsEvery)
		synctest.Wait()
		if lines, calls := count(); lines != 1 || calls != 381 {
			t.Errorf("the sum: %d lines, %d calls", lines, calls)
		}
		r.add(logger, refused, example{}) // goes on: no line at once
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

		cut := failedCall{message: brokenOff, project: "p", function: "f", status: 200, outcome: endBackendCut, cause: "unexpected EOF"}
		for range 10 {
			r.add(logger, cut, example{bytesOut: 5})
		}
		time.Sleep(repeatsEvery)
		synctest.Wait()
		for _, entry := range logs.All() {
			if f := entry.ContextMap(); entry.Message != brokenOff || f["outcome"] != string(endBackendCut) || f["bytes_out"] != int64(5) || f["code"] != nil {
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
			other.function = fmt.Sprint(i)
			r.add(logger, other, example{})
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
