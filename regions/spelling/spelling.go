// Package spelling finds the name that somebody probably meant who wrote
// another one. It decides what counts as near; whether a name is wrong is
// decided by its callers.
package spelling

import (
	"fmt"
	"strings"
)

// DidYouMean returns the end of an error message about an unknown name,
// ` (did you mean "eu-west-1"?)`, or "" where no name is near.
func DidYouMean(name string, among []string) string {
	if closest, ok := ClosestName(name, among); ok && closest != name {
		return fmt.Sprintf(" (did you mean %q?)", closest)
	}
	return ""
}

// ClosestName returns the name among the given ones with the fewest edits from
// name (insertions, deletions, substitutions of a byte; case is no edit), the
// first of several. It is false if none is within one edit for names of up to
// four bytes, two up to eight, three above. Names that cannot be close cost
// nothing, so the length of a client's input doesn't matter.
func ClosestName(name string, among []string) (string, bool) {
	limit := 3
	switch {
	case len(name) <= 4:
		limit = 1
	case len(name) <= 8:
		limit = 2
	}
	best, found := "", false
	for _, candidate := range among {
		if d := len(candidate) - len(name); d > limit || -d > limit {
			continue
		}
		if d := edits(strings.ToLower(name), strings.ToLower(candidate)); d <= limit {
			best, found = candidate, true
			// Only a closer one replaces it.
			limit = d - 1
		}
	}
	return best, found
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
