//go:build e2e && !soak

package e2e

import "time"

// A sample of what TestOneTenantLeavesRoom does under `soak`. The machine of `make test` may be busy with other tests: what is
// exact here is that no call is refused.
var roomNoise = noise{capacity: 24, workers: 1, long: 1500 * time.Millisecond, rounds: 1, ratio: 5, slack: 100 * time.Millisecond}
