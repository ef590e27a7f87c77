package usage

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDecimals(t *testing.T) {
	for code, want := range map[string]int{
		"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4,
		// Shops have none, banks have.
		"IDR": 2, "COP": 2, "RSD": 2, "HUF": 2, "IQD": 3,
		"???": 2,
	} {
		if got := Decimals(code); got != want {
			t.Errorf("%s has %d decimals, want %d", code, got, want)
		}
	}
	if all := Currencies(); len(all) < 150 || !slices.Contains(all, DefaultCurrency) || slices.Contains(all, "???") {
		t.Errorf("%q", all)
	}
	for _, code := range Currencies() {
		if n := Decimals(code); n < 0 || n > 4 {
			t.Errorf("%s has %d decimals", code, n)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		minor      int64
		code, want string
	}{
		{0, "USD", "0.00"},
		{5, "USD", "0.05"},
		{200, "EUR", "2.00"},
		{-105, "USD", "-1.05"},
		{123456, "USD", "1234.56"},
		{math.MinInt64, "USD", "-92233720368547758.08"},
		{0, "JPY", "0"},
		{200, "JPY", "200"},
		{-7, "JPY", "-7"},
		{1, "KWD", "0.001"},
		{2500, "KWD", "2.500"},
		{12, "CLF", "0.0012"},
	} {
		if got := Decimal(tt.minor, tt.code); got != tt.want {
			t.Errorf("%d %s is %s, want %s", tt.minor, tt.code, got, tt.want)
		}
	}
}

func TestMinor(t *testing.T) {
	for _, tt := range []struct {
		price, code string
		minor       int64
		err         string
	}{
		{"2.00", "USD", 200, ""},
		{"2", "USD", 200, ""},
		{"2.5", "EUR", 250, ""},
		{"0.05", "USD", 5, ""},
		{"300", "JPY", 300, ""},
		{"0.6", "KWD", 600, ""},
		{"0.615", "KWD", 615, ""},
		{"2.00", "JPY", 0, "JPY has no decimals"},
		{"2.005", "USD", 0, "USD has at most 2 decimals"},
		{"0.6155", "KWD", 0, "KWD has at most 3 decimals"},
		{"-1", "USD", 0, `"-1" is no price`},
		{"", "USD", 0, ""},
		{"x", "USD", 0, `"x" is no price`},
		{"99999999999999999999", "USD", 0, `"99999999999999999999" is no price`},
	} {
		got, err := Minor(tt.price, tt.code)
		if got != tt.minor || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s %s: %d, %v", tt.price, tt.code, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		minor, code := rapid.Int64Range(0, math.MaxInt64/10_000).Draw(t, "minor"), rapid.SampledFrom(Currencies()).Draw(t, "code")
		if got, err := Minor(Decimal(minor, code), code); err != nil || got != minor {
			t.Fatalf("%d %s became %d, %v", minor, code, got, err)
		}
	})
}
