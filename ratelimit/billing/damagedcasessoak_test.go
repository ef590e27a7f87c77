//go:build soak

package billing

// damagedCases is how many damages TestDamagedDirectory tries.
const damagedCases = 10_000
