package usage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	iso "github.com/bojanz/currency"
)

// DefaultCurrency is that of prices for which nothing else is said.
const DefaultCurrency = "USD"

// Currencies lists the codes of ISO 4217.
func Currencies() []string { return slices.Sorted(slices.Values(iso.GetCurrencyCodes())) }

// Decimals is how many decimals an amount of a currency has: its minor unit is 1
// with so many places (ISO 4217). Of an unknown one it has two.
func Decimals(code string) int {
	// golang.org/x/text knows what is usual on signs and in shops, which is none
	// for some currencies that banks and Stripe count in hundredths.
	if digits, ok := iso.GetDigits(code); ok {
		return int(digits)
	}
	return 2
}

// Minor converts a price, a decimal number, to the minor unit of its currency. It
// fails if the price has more decimals than the currency.
func Minor(price, code string) (int64, error) {
	whole, part, _ := strings.Cut(price, ".")
	decimals := Decimals(code)
	switch {
	case len(part) > decimals && decimals == 0:
		return 0, fmt.Errorf("%s has no decimals", code)
	case len(part) > decimals:
		return 0, fmt.Errorf("%s has at most %d decimals", code, decimals)
	}
	n, err := strconv.ParseUint(whole+part+strings.Repeat("0", decimals-len(part)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is no price", price)
	}
	return int64(n), nil
}

// Decimal formats an amount in the minor unit of a currency as a decimal number.
func Decimal(minor int64, code string) string {
	decimals, text, sign := Decimals(code), strconv.FormatInt(minor, 10), ""
	if minor < 0 {
		sign, text = "-", text[1:]
	}
	if decimals == 0 {
		return sign + text
	}
	if missing := decimals + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	point := len(text) - decimals
	return sign + text[:point] + "." + text[point:]
}
