package usage

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func pro() Price {
	return Price{Plan: "pro", Included: 2_000_000, Package: 1_000_000, Minor: 200, Currency: "USD"}
}

// Contract 7.4, with the worked examples of the public price rule.
func TestAmount(t *testing.T) {
	for _, tt := range []struct{ used, packages, minor int64 }{
		{0, 0, 0},
		{1_800_000, 0, 0},
		{2_000_000, 0, 0},
		{2_000_001, 1, 200},
		{2_999_999, 1, 200}, // 999,999 over
		{3_000_000, 1, 200},
		{3_000_001, 2, 400},
		{3_400_000, 2, 400},
		{3_500_000, 2, 400}, // 1,500,000 over
		{2 * 1_200_000, 1, 200},
		{math.MaxInt64, 9_223_372_036_853, 1_844_674_407_370_600},
	} {
		if p, m := pro().Packages(tt.used), pro().Amount(tt.used); p != tt.packages || m != tt.minor {
			t.Errorf("%d invocations: %d packages for %d, want %d for %d", tt.used, p, m, tt.packages, tt.minor)
		}
	}
	for name, free := range map[string]Price{
		"no plan": {Included: -1, Package: 1, Minor: 1}, "a hard quota": {Included: 500_000}, "no price": {Included: 1, Package: 1},
	} {
		if n := free.Amount(10_000_000); n != 0 {
			t.Errorf("%s: %d", name, n)
		}
	}
	if dear := (Price{Package: 1, Minor: math.MaxInt64}); dear.Amount(2) != math.MaxInt64 {
		t.Error("a sum that is too large has turned around")
	}
}

// The same examples as bills: lines of two projects, in hours, add up to what the rule says, in any currency.
func TestBillsOfTheExamples(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, other int64 // by project
		minor        int64
	}{
		{"nothing over", 2_000_000, 0, 0},
		{"1.8 M on pro", 1_800_000, 0, 0},
		{"1 over", 2_000_001, 0, 200},
		{"999,999 over", 2_999_999, 0, 200},
		{"1,000,000 over", 3_000_000, 0, 200},
		{"1,000,001 over", 3_000_001, 0, 400},
		{"1,500,000 over", 3_500_000, 0, 400},
		{"3.4 M on pro", 3_400_000, 0, 400},
		{"two projects of 1.2 M each", 1_200_000, 1_200_000, 200},
	} {
		for _, currency := range []string{"USD", "JPY", "KWD"} {
			b := newStore(t)
			b.price.Currency = currency
			const hours = 7
			rest := [2]int64{tt.first, tt.other}
			for hour := range hours {
				var sums []Sum
				for i, n := range []int64{tt.first, tt.other} {
					part := n / hours
					if hour == hours-1 {
						part = rest[i]
					}
					rest[i] -= part
					s := used("one", "f", hour, part)
					s.Project = []string{"p", "q"}[i]
					sums = append(sums, s)
				}
				b.over = hour
				b.update(sums...)
			}
			b.over = hours
			b.update()
			quantity, over, packages, amount := int64(0), int64(0), int64(0), int64(0)
			for _, l := range b.lines() {
				quantity += l.Quantity
				over += l.OverageQuantity
				packages += l.Packages
				amount += l.AmountMinor
				if l.State != Final || l.Currency != currency {
					t.Errorf("%s: %+v", tt.name, l)
				}
			}
			used := tt.first + tt.other
			if quantity != used || over != max(0, used-2_000_000) || amount != tt.minor || packages != tt.minor/200 {
				t.Errorf("%s: %d for %d, of which %d over in %d packages, want %d", tt.name, amount, quantity, over, packages, tt.minor)
			}
		}
	}
}

// Amounts grow, follow the rule, and those of parts sum up to that of the whole.
func TestAmountProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := Price{
			Included: rapid.Int64Range(-1, 10_000).Draw(t, "included"), Package: rapid.Int64Range(1, 5000).Draw(t, "package"),
			Minor: rapid.Int64Range(0, 100_000).Draw(t, "minor"),
		}
		at, sum := int64(0), int64(0)
		for range rapid.IntRange(1, 50).Draw(t, "parts") {
			next := at + rapid.Int64Range(0, 3000).Draw(t, "part")
			part := price.Amount(next) - price.Amount(at)
			if part < 0 {
				t.Fatalf("from %d to %d it costs %d", at, next, part)
			}
			sum += part
			at = next
		}
		over := new(big.Rat)
		if price.Included >= 0 && at > price.Included {
			over.SetFrac64(at-price.Included, price.Package)
		}
		packages := new(big.Int).Div(new(big.Int).Add(over.Num(), new(big.Int).Sub(over.Denom(), big.NewInt(1))), over.Denom()).Int64()
		if want := packages * price.Minor; sum != want || price.Amount(at) != want {
			t.Fatalf("%d invocations: the parts cost %d, the whole %d, want %d", at, sum, price.Amount(at), want)
		}
	})
}
