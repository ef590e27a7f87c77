package billing

import (
	"testing"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// Invocations beyond the included ones are sold unless they are refused, or all are included.
func TestTariff(t *testing.T) {
	sold := Tariff{Plan: "team", Included: 10, Package: 5, PackagePrice: "2.50", Currency: "EUR"}
	hard, all, none, wrong := sold, sold, sold, sold
	hard.Hard, all.Included, none.Package, wrong.PackagePrice = true, -7, 0, "2.505"
	for name, tt := range map[string]struct {
		tariff Tariff
		want   usage.Price
		fails  bool
	}{
		"sold":         {sold, usage.Price{Plan: "team", Included: 10, Package: 5, Minor: 250, Currency: "EUR"}, false},
		"refused":      {hard, usage.Price{Plan: "team", Included: 10, Currency: "EUR"}, false},
		"all included": {all, usage.Price{Plan: "team", Included: -1, Currency: "EUR"}, false},
		"none sold":    {none, usage.Price{Plan: "team", Included: 10, Currency: "EUR"}, false},
		"no amount":    {wrong, usage.Price{Plan: "team", Included: 10, Currency: "EUR"}, true},
	} {
		if got, err := tt.tariff.Price(); got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, tt.want)
		}
	}
}
