package gateway

import (
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/routing/projects"
)

func TestPriceOf(t *testing.T) {
	off, small := false, int64(10)
	for _, tt := range []struct {
		name string
		app  *App
		plan string
		want usage.Price
	}{
		{"no plan", &App{}, "", usage.Price{Included: -1, Currency: "USD"}},
		{"a hard one", &App{}, "free", usage.Price{Plan: "free", Included: 500_000, Currency: "USD"}},
		{"a built-in one", &App{}, "team", usage.Price{Plan: "team", Included: 2_000_000, Package: 1_000_000, Minor: 200, Currency: "USD"}},
		{"with its spend cap", &App{}, "pro", usage.Price{Plan: "pro", Included: 2_000_000, Currency: "USD"}},
		{"a built-in one in yen", &App{Currency: "JPY"}, "team", usage.Price{Plan: "team", Included: 2_000_000, Package: 1_000_000, Minor: 2, Currency: "JPY"}},
		{
			"an own one in dinars", &App{Currency: "KWD", Plans: map[string]*Plan{"own": {Quota: &small, Overage: &projects.Overage{Price: "0.615", Package: 5}, SpendCap: &off}}},
			"own",
			usage.Price{Plan: "own", Included: 10, Package: 5, Minor: 615, Currency: "KWD"},
		},
	} {
		o := &projects.Organization{ID: "acme"}
		if plan, ok := tt.app.plans()[tt.plan]; ok {
			o.Plan = &plan
		}
		if got := tt.app.priceOf(o); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// Configurations in JSON are judged as Caddyfiles are.
func TestCheckPrices(t *testing.T) {
	app := App{Currency: "eur", Plans: map[string]*Plan{
		"a": {Overage: &projects.Overage{Price: "2.005", Package: 1}}, "b": {Overage: &projects.Overage{Price: "2"}}, "c": nil, "d": {Overage: &projects.Overage{Price: "two", Package: 1}},
	}}
	err := app.checkPrices()
	for _, want := range []string{
		`currency "eur": must be a code of ISO 4217 such as EUR (did you mean "EUR"?)`, "plan a: overage 2.005 per 1: eur has at most 2 decimals",
		"plan b: overage 2 per 0: must be a price", "plan d: overage two per 1: must be a price",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := (&App{}).checkPrices(); err != nil {
		t.Error(err)
	}
}
