//go:build !linux

package quota

import "time"

// runClock has no name for this run of the machine: the time of day is used.
func runClock() (id string, up time.Duration) { return "", 0 }
