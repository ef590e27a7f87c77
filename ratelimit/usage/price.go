package usage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Price are the price of an organization's invocations in a period.
type Price struct {
	Plan     string // "" for none
	Included int64  // invocations that cost nothing; negative: all of them
	Package  int64  // how many are sold together, of which each that is begun is paid; 0: none are sold
	Minor    int64  // the price of a package, in the minor unit of the currency
	Currency string // ISO 4217
}

// Revision tells prices of one plan apart: 8 hex digits.
func (p Price) Revision() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d|%d|%d|%s", p.Plan, p.Included, p.Package, p.Minor, p.Currency))
	return hex.EncodeToString(sum[:4])
}

// Over is how many of n invocations are not included.
func (p Price) Over(n int64) int64 {
	if p.Included < 0 {
		return 0
	}
	return max(0, n-p.Included)
}

// Packages is how many n invocations in a period take: each that is begun counts
// (contract 7.4).
func (p Price) Packages(n int64) int64 {
	if p.Package <= 0 {
		return 0
	}
	over := p.Over(n)
	packages := over / p.Package
	if over%p.Package > 0 {
		packages++
	}
	return packages
}

// Amount is what n invocations in a period cost, in the minor unit of the currency.
// What is beyond an int64 is its highest.
func (p Price) Amount(n int64) int64 {
	high, low := bits.Mul64(uint64(p.Packages(n)), uint64(max(0, p.Minor)))
	if high > 0 || low > 1<<63-1 {
		return 1<<63 - 1
	}
	return int64(low)
}
