package usage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Terms are the price of an organization's invocations in a period.
type Terms struct {
	Plan     string // "" for none
	Included int64  // invocations that cost nothing; negative: all of them
	Package  int64  // how many are sold together, of which each that is begun is paid; 0: none are sold
	Minor    int64  // the price of a package, in the minor unit of the currency
	Currency string // ISO 4217
}

// Revision tells terms of one plan apart: 8 hex digits.
func (t Terms) Revision() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d|%d|%d|%s", t.Plan, t.Included, t.Package, t.Minor, t.Currency))
	return hex.EncodeToString(sum[:4])
}

// Over is how many of n invocations are not included.
func (t Terms) Over(n int64) int64 {
	if t.Included < 0 {
		return 0
	}
	return max(0, n-t.Included)
}

// Packages is how many n invocations in a period take: each that is begun counts
// (BEHAVIOUR.md 7.4).
func (t Terms) Packages(n int64) int64 {
	if t.Package <= 0 {
		return 0
	}
	over := t.Over(n)
	packages := over / t.Package
	if over%t.Package > 0 {
		packages++
	}
	return packages
}

// Amount is what n invocations in a period cost, in the minor unit of the currency.
// What is beyond an int64 is its highest.
func (t Terms) Amount(n int64) int64 {
	high, low := bits.Mul64(uint64(t.Packages(n)), uint64(max(0, t.Minor)))
	if high > 0 || low > 1<<63-1 {
		return 1<<63 - 1
	}
	return int64(low)
}
