//go:build soak

package usage_test

// moveSeeds is how many random moves TestOutboxMoves tries.
const moveSeeds = 200
