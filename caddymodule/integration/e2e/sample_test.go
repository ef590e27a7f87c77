//go:build e2e && !soak

package e2e

// randomTargets is how many targets of chance each protocol gets; see sample_soak_test.go.
const randomTargets = 600

// endingSample is how many ways to end of each kind are tried.
const endingSample = 400
