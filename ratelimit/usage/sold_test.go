package usage

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// share is the use under one price.
type share struct {
	Price
	used int64
}

// reference sells unit by unit: whoever begins a package beyond what is included pays for it.
func reference(shares []share) (packages int64, amount *big.Int) {
	amount = new(big.Int)
	unit := int64(0)
	for _, s := range shares {
		for range s.used {
			unit++
			if beyond := unit - s.Included; s.Package > 0 && beyond > 0 && (beyond-1)%s.Package == 0 {
				packages++
				amount.Add(amount, big.NewInt(s.Minor))
			}
		}
	}
	return packages, amount
}

// A bill over several prices is what each sold, however the use is cut into lines; and what Stripe makes of the overage is as many
// packages.
func TestSell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 40).Draw(t, "package")
		var shares []share
		for range rapid.IntRange(1, 6).Draw(t, "prices") {
			s := share{
				Price: Price{Included: rapid.Int64Range(0, 150).Draw(t, "included"), Package: size, Minor: rapid.Int64Range(0, 500).Draw(t, "minor")},
				used:  rapid.Int64Range(0, 120).Draw(t, "used"),
			}
			if rapid.Bool().Draw(t, "capped") {
				s.Package = 0
			}
			shares = append(shares, s)
		}
		var at Reading
		var total Sale
		for i, s := range shares {
			for left := s.used; left > 0; {
				n := rapid.Int64Range(1, left).Draw(t, "line")
				left -= n
				sale, next := s.Sell(at, at.Used+n)
				if sale.Packages < 0 || sale.Amount < 0 || sale.Overage < 0 {
					t.Fatalf("more use gives back %+v", sale)
				}
				if s.Package == 0 && sale != (Sale{}) {
					t.Fatalf("sold while nothing is: %+v", sale)
				}
				total.Packages += sale.Packages
				total.Amount += sale.Amount
				total.Overage += sale.Overage
				at = next
				if packages := (total.Overage + size - 1) / size; packages != total.Packages || at.Sold != total.Overage {
					t.Fatalf("price %d: an overage of %d is %d packages, %d were sold", i, total.Overage, packages, total.Packages)
				}
			}
		}
		packages, amount := reference(shares)
		if total.Packages != packages || amount.Cmp(big.NewInt(total.Amount)) != 0 {
			t.Fatalf("%d packages for %d, want %d for %d: %+v", total.Packages, total.Amount, packages, amount, shares)
		}
		if len(shares) == 1 && shares[0].Package > 0 && total.Overage != shares[0].Over(at.Used) {
			t.Fatalf("an overage of %d, %d are over", total.Overage, shares[0].Over(at.Used))
		}
	})
}

// Deductions give back what was sold, and no more.
func TestSellBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 30).Draw(t, "package")
		var at Reading
		var total Sale
		for range rapid.IntRange(1, 20).Draw(t, "lines") {
			p := Price{Included: rapid.Int64Range(0, 60).Draw(t, "included"), Package: size, Minor: 7}
			if rapid.IntRange(0, 3).Draw(t, "capped") == 0 {
				p.Package = 0
			}
			sale, next := p.Sell(at, max(0, at.Used+rapid.Int64Range(-80, 100).Draw(t, "change")))
			total.Packages += sale.Packages
			total.Overage += sale.Overage
			total.Amount += sale.Amount
			at = next
			if total.Packages < 0 || total.Overage != at.Sold || total.Packages != packagesOf(at.Sold, size) || total.Amount != 7*total.Packages {
				t.Fatalf("after %+v: %+v", at, total)
			}
		}
		if at.Sold > 0 { // with all of it gone under the last price nothing of its packages is left
			p := Price{Package: size, Minor: 7}
			if _, none := p.Sell(Reading{Used: at.Sold, Sold: at.Sold}, 0); none.Sold != 0 {
				t.Fatalf("%+v", none)
			}
		}
	})
}

// Sums and products that are too large stay at the end of int64; all others are exact.
func TestSaturation(t *testing.T) {
	edges := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 32, -3, -1, 0, 1, 3, 1 << 31, 1 << 32, math.MaxInt64 - 1, math.MaxInt64}
	number := rapid.OneOf(rapid.SampledFrom(edges), rapid.Int64())
	nearest := func(n *big.Int) int64 {
		if n.IsInt64() {
			return n.Int64()
		}
		if n.Sign() < 0 {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)
		if got, want := saturatingAdd(a, b), nearest(new(big.Int).Add(x, y)); got != want {
			t.Fatalf("%d + %d = %d, want %d", a, b, got, want)
		}
		if got, want := saturatingMul(a, b), nearest(new(big.Int).Mul(x, y)); got != want {
			t.Fatalf("%d * %d = %d, want %d", a, b, got, want)
		}
	})
	rapid.Check(t, func(t *rapid.T) { // no price and no use makes an amount below zero
		whole := rapid.OneOf(rapid.SampledFrom([]int64{0, 1, math.MaxInt64 - 1, math.MaxInt64}), rapid.Int64Range(0, math.MaxInt64))
		p := Price{Included: whole.Draw(t, "included"), Package: max(1, whole.Draw(t, "package")), Minor: whole.Draw(t, "minor")}
		var at Reading
		for range 4 {
			used := max(at.Used, whole.Draw(t, "used"))
			sale, next := p.Sell(at, used)
			over := new(big.Int).Sub(big.NewInt(used), big.NewInt(p.Included))
			if over.Sign() < 0 {
				over.SetInt64(0)
			}
			if sale.Packages < 0 || sale.Amount < 0 || sale.Overage < 0 || big.NewInt(next.Sold).Cmp(over) != 0 {
				t.Fatalf("%+v from %+v to %d: %+v, %+v, want %d sold", p, at, used, sale, next, over)
			}
			at = next
		}
	})
}

// Contract 7.4: nothing that ran while nothing was sold is overage, at once or later.
func TestNothingSoldIsNoOverage(t *testing.T) {
	capped := pro()
	capped.Package, capped.Minor = 0, 0
	b := newStore(t)
	for hour, step := range []struct {
		price    Price
		used     int64
		overage  int64
		packages int64
	}{
		{capped, 2_500_000, 0, 0}, // in grace
		{pro(), 400_000, 0, 0},    // the rest of the package that was begun before
		{pro(), 200_000, 100_000, 1},
		{capped, 1_000_000, 0, 0},
		{pro(), 900_000, 0 + 900_000, 0},
		{pro(), 1, 1, 1},
	} {
		b.price = step.price
		b.over = hour
		b.update(used("one", "f", hour, step.used))
		var last Line
		for l, err := range b.Lines(func(string, string) bool { return true }) {
			if err != nil {
				t.Fatal(err)
			}
			last = l
		}
		if last.OverageQuantity != step.overage || last.Packages != step.packages || last.AmountMinor != 200*step.packages {
			t.Errorf("hour %d: %d over in %d packages for %d, want %d in %d", hour, last.OverageQuantity, last.Packages, last.AmountMinor, step.overage, step.packages)
		}
	}
}

// Lines that an earlier build wrote, with everything beyond the included units as overage, are corrected while their bill is open;
// those that are right stay as they are, and so does a final bill.
func TestOverageOfEarlierBuilds(t *testing.T) {
	for _, closed := range []bool{false, true} {
		t.Run(fmt.Sprintf("closed=%v", closed), func(t *testing.T) {
			capped := pro()
			capped.Package, capped.Minor = 0, 0
			b := newStore(t)
			b.update(used("one", "f", 0, 1_900_000))
			b.price, b.over = capped, 1
			b.update(used("one", "f", 1, 600_000))
			b.over = 2
			b.update()
			err := b.with(true, func(tx *bbolt.Tx) error {
				bucket := tx.Bucket(bucketLines).Bucket(groupKey("acme", "2026-11"))
				old := make(map[string]entry)
				err := bucket.ForEach(func(k, v []byte) error {
					if !isLine(k) {
						return nil
					}
					var e entry
					err := json.Unmarshal(v, &e)
					e.Rule, e.Sold = 0, 0
					old[string(k)] = e
					return err
				})
				for k, e := range old {
					if err := writeEntry(bucket, []byte(k), &e); err != nil {
						return err
					}
				}
				if closed {
					return bucket.Put(keyClosed, []byte{1})
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			read := func() (lines []Line) {
				for l, err := range b.Lines(func(string, string) bool { return true }) {
					if err != nil {
						t.Fatal(err)
					}
					lines = append(lines, l)
				}
				return lines
			}
			before := read()
			if before[1].OverageQuantity != 500_000 {
				t.Fatalf("%+v", before[1])
			}
			b.update(used("one", "f", 2, 100))
			after := read()
			if len(after) != 3 || after[0] != before[0] || after[2].OverageQuantity != 0 {
				t.Errorf("%+v", after)
			}
			switch l := after[1]; {
			case closed && l != before[1]:
				t.Errorf("a final bill changed: %+v", l)
			case !closed && (l.OverageQuantity != 0 || l.Revision != 2 || l.State != Correction || l.LineID != before[1].LineID):
				t.Errorf("not corrected: %+v", l)
			}
			if n := b.update(); n != 0 {
				t.Errorf("%d lines changed again", n)
			}
		})
	}
}
