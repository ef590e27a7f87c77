package usage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Price is what an organization pays for invocations in a billing period.
type Price struct {
	Plan     string // its name; "" for none
	Included int64  // invocations without charge; negative: unlimited
	Package  int64  // invocations in a package, which is paid as soon as it begins; 0: nothing is sold
	Minor    int64  // the price of a package, in the minor unit of the currency
	Currency string // ISO 4217
}

// Revision returns 8 hex digits that differ between prices of one plan.
func (p Price) Revision() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d|%d|%d|%s", p.Plan, p.Included, p.Package, p.Minor, p.Currency))
	return hex.EncodeToString(sum[:4])
}

// Over returns how many of n invocations are not included.
func (p Price) Over(n int64) int64 {
	if p.Included < 0 {
		return 0
	}
	return max(0, n-p.Included)
}

// Packages returns how many packages n invocations in a period begin (contract
// 7.4).
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

// Amount returns the price of n invocations in a period, in the minor unit of the
// currency. It is at most the greatest int64.
func (p Price) Amount(n int64) int64 {
	high, low := bits.Mul64(uint64(p.Packages(n)), uint64(max(0, p.Minor)))
	if high > 0 || low > 1<<63-1 {
		return 1<<63 - 1
	}
	return int64(low)
}
