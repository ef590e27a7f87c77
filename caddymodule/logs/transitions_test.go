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
	var events []Transition
	logger, states := zap.New(core), NewTransitions(func(c Transition) { events = append(events, c) })
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
	if want := (Transition{KindRegion, "c", "unknown", "down", "refused"}); len(events) < 2 || events[1] != want {
		t.Errorf("told of %+v, want second %+v", events, want)
	}
}

// Things that are reported one by one: those that are well are forgotten; what is told of is masked.
func TestEnter(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	var events []Transition
	logger, states, now := zap.New(core), NewTransitions(func(c Transition) { events = append(events, c) }), time.Unix(1000, 0)
	for _, step := range []struct {
		c    Condition
		want []string
	}{
		{Condition{"a.org", "valid", ""}, nil},
		{Condition{"a.org", "failing", "refused by https://ca/?token=secret123"}, []string{"error certificate a.org: valid->failing (refused by https://ca/?token=secret123) after 0s"}},
		{Condition{"a.org", "failing", "refused again"}, nil},
		{Condition{"b.org", "failing", ""}, []string{"error certificate b.org: valid->failing () after 0s"}},
		{Condition{"a.org", "valid", ""}, []string{"info certificate a.org: failing->valid () after 0s"}},
		{Condition{"b.org", "valid", ""}, []string{"info certificate b.org: failing->valid () after 0s"}},
	} {
		states.Enter(logger, now, Observation{KindCertificate, []Condition{step.c}})
		if got := told(logs); !slices.Equal(got, step.want) {
			t.Errorf("%+v: %q, want %q", step.c, got, step.want)
		}
	}
	if n := len(states.states[KindCertificate]); n != 0 {
		t.Errorf("%d certificates that are valid are remembered", n)
	}
	if len(events) != 4 || strings.Contains(events[0].Why, "secret123") || !strings.Contains(events[0].Why, "refused by") {
		t.Errorf("told of %+v", events)
	}
}
