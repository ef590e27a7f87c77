//go:build soak

package metering

// damagedCases is how many cases of damage are tried.
const damagedCases = 1000
