package metering

import (
	"testing"
	"time"
)

func TestOffsets(t *testing.T) {
	const ms = time.Millisecond
	var o offsets
	for i, step := range []struct{ latest, want offset }{
		{offset{10 * ms, 8 * ms}, offset{10 * ms, 8 * ms}},
		{offset{13 * ms, 2 * ms}, offset{13 * ms, 2 * ms}},
		{offset{40 * ms, 60 * ms}, offset{13 * ms, 2 * ms}},      // a slow answer says little
		{offset{5000 * ms, 60 * ms}, offset{5000 * ms, 60 * ms}}, // the clock was set
		{offset{5030 * ms, 40 * ms}, offset{5030 * ms, 40 * ms}},
	} {
		if got := o.add(step.latest); got != step.want {
			t.Errorf("%d: %v, want %v", i, got, step.want)
		}
	}
	for range 3 * offsetSamples { // what was known best a minute ago may have drifted away
		o.add(offset{5030 * ms, 50 * ms})
	}
	if got := o.add(offset{5030 * ms, 50 * ms}); got.within != 50*ms {
		t.Errorf("%v", got)
	}
}
