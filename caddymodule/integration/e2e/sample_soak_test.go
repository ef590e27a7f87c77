//go:build e2e && soak

package e2e

// randomTargets is how many targets of chance each protocol gets.
const randomTargets = 50_000

// endingSample is how many ways to end of each kind are tried.
const endingSample = 1 << 20
