//go:build !soak && !race

package billing

// damagedCases is how many damages TestDamagedDirectory tries.
const damagedCases = 300
