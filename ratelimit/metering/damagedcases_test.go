//go:build !soak && !race

package metering

// damagedCases is how many damages TestDamagedDirectory tries.
const damagedCases = 100
