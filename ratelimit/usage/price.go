package usage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
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

// Sells reports whether invocations beyond the included ones are sold. Where they
// are not, as under a spend cap, those that run all the same cost nothing, also
// later.
func (p Price) Sells() bool { return p.Package > 0 && p.Included >= 0 }

// Over returns how many of n invocations are not included.
func (p Price) Over(n int64) int64 {
	if p.Included < 0 || n <= p.Included {
		return 0
	}
	return n - p.Included
}

// Packages returns how many packages n invocations in a period begin (contract
// 7.4).
func (p Price) Packages(n int64) int64 {
	if p.Package <= 0 {
		return 0
	}
	return packagesOf(p.Over(n), p.Package)
}

// packagesOf returns how many packages of a size n units begin; 0 for none.
func packagesOf(n, size int64) int64 {
	if n <= 0 {
		return 0
	}
	return (n-1)/size + 1
}

// Amount returns the price of n invocations in a period, in the minor unit of the
// currency. It is at most the greatest int64.
func (p Price) Amount(n int64) int64 { return p.cost(p.Packages(n)) }

// cost returns the price of packages; it is negative for packages that are given
// back.
func (p Price) cost(packages int64) int64 { return saturatingMul(packages, max(0, p.Minor)) }

// Charged returns what a meter that shows sold units charges at this price: a package
// for each that is begun.
func (p Price) Charged(sold int64) int64 {
	if p.Package <= 0 {
		return 0
	}
	return p.cost(packagesOf(sold, p.Package))
}

// AddAmounts returns the sum of two amounts, or the int64 that is nearest to it.
func AddAmounts(a, b int64) int64 { return saturatingAdd(a, b) }

// Reading is a position in a billing period of an organization.
type Reading struct {
	Used int64 // units so far, sold or not

	// Sold is what a meter with a price per package of them shows: divided by the size
	// of a package and rounded up it gives the packages that were sold so far. The unused
	// rest of a sold package is in it as soon as the next package is sold.
	Sold int64
}

// Sale is what some use adds to a bill.
type Sale struct {
	Packages int64 // packages that begin; negative: given back
	Overage  int64 // the change of Reading.Sold
	Amount   int64 // the price of Packages, in the minor unit of the currency
}

// Sell returns what is sold while the use of a period goes from that of a reading to
// used, and the reading then. What begins while nothing is sold is never sold later,
// and only what was sold can be given back.
func (p Price) Sell(at Reading, used int64) (Sale, Reading) {
	next := Reading{Used: used, Sold: max(0, at.Sold)}
	if !p.Sells() {
		return Sale{}, next
	}
	had := packagesOf(next.Sold, p.Package)
	begun := max(p.Packages(used)-p.Packages(at.Used), -had)
	now := saturatingAdd(had, begun)
	least, most := saturatingAdd(saturatingMul(now-1, p.Package), 1), saturatingMul(now, p.Package)
	over := p.Over(used)
	switch {
	case now == 0:
		next.Sold = 0
	case begun != 0 && over > 0:
		next.Sold = saturatingAdd(least, (over-1)%p.Package)
	case begun != 0: // given back to below what is included; packages of another term stay
		next.Sold = most
	default: // within a package, or in one that was begun unsold
		next.Sold = min(max(saturatingAdd(next.Sold, over-p.Over(at.Used)), least), most)
	}
	return Sale{Packages: begun, Overage: next.Sold - max(0, at.Sold), Amount: p.cost(begun)}, next
}

// saturatingAdd returns a + b, or the int64 that is nearest to it.
func saturatingAdd(a, b int64) int64 {
	sum := a + b
	switch {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

// saturatingMul returns a * b, or the int64 that is nearest to it.
func saturatingMul(a, b int64) int64 {
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	negative := (a < 0) != (b < 0)
	switch {
	case high == 0 && low <= math.MaxInt64 && negative:
		return -int64(low)
	case high == 0 && low <= math.MaxInt64:
		return int64(low)
	case negative:
		return math.MinInt64
	}
	return math.MaxInt64
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
