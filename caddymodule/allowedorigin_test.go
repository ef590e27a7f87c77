package caddymodule

import (
	"fmt"
	"testing"
	"time"
)

// BEHAVIOUR 4.9: a warning once a minute and function, with the same memory for any number of functions.
func TestOnceAMinute(t *testing.T) {
	var o onceAMinute
	start := time.Unix(1_790_000_000, 0)
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {time.Second, false}, {59 * time.Second, false}, {time.Minute, true}, {119 * time.Second, false}, {2 * time.Minute, true}} {
		if got := o.due("p", "f", start.Add(tt.after)); got != tt.want {
			t.Errorf("4.9: after %s: %v", tt.after, got)
		}
	}
	warned := 0
	for i := range 100_000 {
		if o.due("p", fmt.Sprint("f", i), start.Add(time.Hour)) {
			warned++
		}
	}
	if warned == 0 || warned > len(o.last) {
		t.Errorf("4.9: %d warnings of %d slots", warned, len(o.last))
	}
}
