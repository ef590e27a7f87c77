//go:build e2e && !soak

package e2e

// hostileMutations is how many mutations each of a hostile request and of a hostile answer are tried.
const hostileMutations = 60
