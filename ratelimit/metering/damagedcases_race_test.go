//go:build !soak && race

package metering

// damagedCases is how many damages TestDamagedDirectory tries. The race detector makes each several times slower: the tests
// that measure coverage run without it, and try them all.
const damagedCases = 20
