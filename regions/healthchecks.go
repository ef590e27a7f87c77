package regions

import (
	"math/bits"
)

const (
	// checksDown failed probes in a row set a backend down, checksUp passed ones
	// set it up again.
	checksDown = 3
	checksUp   = 3
	// checksHalf failures among the last eight probes set a backend down that
	// answers now and then.
	checksHalf = 4
)

// Checks turns the outcomes of active probes into a state. The zero value is
// unknown, in which a backend is used at once. It is not safe for concurrent
// use.
type Checks struct {
	state  State
	run    int   // outcomes in a row that contradict state
	failed uint8 // bit set of failures among the last eight outcomes, newest lowest; unused while down
}

// Report records one outcome and returns the state, and whether it changed. Three
// failures in a row, or half of the last eight, are down; three passes in a row
// are up again. The first pass ever is up at once.
func (c *Checks) Report(passed bool) (state State, changed bool) {
	before := c.State()
	c.failed <<= 1
	if !passed {
		c.failed |= 1
	}
	switch {
	case passed && before == StateUp, !passed && before == StateDown:
		c.run = 0
		return before, false
	case before == StateUnknown && passed:
		c.state, c.run = StateUp, 0
		return c.state, true
	}
	c.run++
	needed := checksDown
	if passed {
		needed = checksUp
	}
	if c.run < needed && (passed || bits.OnesCount8(c.failed) < checksHalf) {
		return before, false
	}
	c.run, c.failed = 0, 0
	c.state = StateDown
	if passed {
		c.state = StateUp
	}
	return c.state, true
}

// State returns the state after all outcomes so far.
func (c *Checks) State() State {
	if c.state == "" {
		return StateUnknown
	}
	return c.state
}
