//go:build e2e && soak

package e2e

import "time"

// The sizes of the rule's report: a capacity of 2,000, hung calls and WebSockets by the thousand, and a gateway at most half busy.
var roomNoise = noise{capacity: 2000, workers: 2, long: 10 * time.Second, rounds: 5, ratio: 1.5}
