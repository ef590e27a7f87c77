package regions

import "testing"

func TestChecks(t *testing.T) {
	for _, tc := range []struct {
		name    string
		reports string // + passed, - failed
		want    State
		changes int
	}{
		{"nothing", "", StateUnknown, 0},
		{"the first pass is up", "+", StateUp, 1},
		{"two failures say nothing", "--", StateUnknown, 0},
		{"three are down", "---", StateDown, 1},
		{"three of a backend that was up", "+---", StateDown, 2},
		{"two of it", "+--", StateUp, 1},
		{"three with a pass between", "+--+-", StateUp, 1},
		{"two passes are not enough", "---++", StateDown, 1},
		{"three passes are", "---+++", StateUp, 2},
		{"three passes with a failure between", "---++-+", StateDown, 1},
		{"a failure, then a pass", "-+", StateUp, 1},
		{"every other one fails", "+-+-+-+-", StateDown, 2},
		{"every other one fails, until it answers", "+-+-+-+-+++", StateUp, 3},
		{"every third one fails", "+-++-++-++-++-++-++-", StateUp, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c Checks
			changes := 0
			for _, report := range tc.reports {
				if _, changed := c.Report(report == '+'); changed {
					changes++
				}
			}
			if got := c.State(); got != tc.want || changes != tc.changes {
				t.Errorf("%s after %d changes, want %s after %d", got, changes, tc.want, tc.changes)
			}
		})
	}
}
