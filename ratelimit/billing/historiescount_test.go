//go:build e2e && !soak

package billing

// histories is how many random histories are tried.
const histories = 50
