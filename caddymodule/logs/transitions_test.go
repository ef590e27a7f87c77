package logs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
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
	logger, states := zap.New(core), NewTransitions()
	start := time.Unix(1000, 0)
	for i, step := range []struct {
		name string
		all  []Condition
		want []string
	}{
		{"first seen: it was unknown", []Condition{{"a", "up", ""}, {"b", "unknown", ""}, {"c", "down", "refused"}}, []string{
			"info region a: unknown->up () after 0s", "error region c: unknown->down (refused) after 0s",
		}},
		{"nothing changed, though the reason did", []Condition{{"a", "up", ""}, {"b", "unknown", ""}, {"c", "down", "timeout"}}, nil},
		{"each change is a line", []Condition{{"a", "degraded", "slow"}, {"b", "up", ""}, {"c", "up", ""}}, []string{
			"warn region a: up->degraded (slow) after 2s", "info region b: unknown->up () after 2s", "info region c: down->up () after 2s",
		}},
		{"what is gone is forgotten", []Condition{{"a", "up", ""}}, []string{"info region a: degraded->up () after 1s"}},
		{"and is new when it is back", []Condition{{"a", "up", ""}, {"c", "down", "refused"}}, []string{"error region c: unknown->down (refused) after 0s"}},
	} {
		states.Observe(logger, start.Add(time.Duration(i)*time.Second), Observation{KindRegion, step.all})
		if got := told(logs); !slices.Equal(got, step.want) {
			t.Errorf("%s:\n%s\nwant\n%s", step.name, strings.Join(got, "\n"), strings.Join(step.want, "\n"))
		}
	}
	if got, want := states.Changes(), map[Change]uint64{{KindRegion, "up"}: 4, {KindRegion, "down"}: 2, {KindRegion, "degraded"}: 1}; !maps.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	for kind, want := range map[Kind][]string{
		KindStore:   {"info store a: unknown->up () after 0s"}, // though a region has its name
		KindKeySet:  {"info key_set a: unknown->up () after 0s"},
		KindLedger:  nil,
		KindQuotas:  nil,
		KindBills:   nil,
		KindClock:   nil,
		KindBreaker: {"info breaker a: closed->up () after 0s"},
	} {
		states.Observe(logger, start, Observation{kind, []Condition{{"a", "up", ""}}})
		if got := told(logs); !slices.Equal(got, want) {
			t.Errorf("the first of kind %s: %q, want %q", kind, got, want)
		}
	}
}
