//go:build !soak

package usage_test

// moveSeeds is how many random moves TestOutboxMoves tries. Soak tests have more.
const moveSeeds = 15
