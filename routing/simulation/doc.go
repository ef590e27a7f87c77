// Package simulation replays clients of the whole world against the decisions
// that a gateway takes, under a clock of its own. It reads what was measured
// and judges by it; it decides nothing itself: package plan does.
package simulation
