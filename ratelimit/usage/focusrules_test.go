package usage

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The rules of FOCUS that apply to a provider of functions with regions, sub accounts, resources, unit prices, one currency and no
// commitments. A rule is named by the section of the specification (a column, an attribute or the dataset CostAndUsage) or by its id in
// the requirements model of 1.2, which 1.3 and 1.4 go on with.

type focusKind int

const (
	plain focusKind = iota
	decimal
	moment
	currency
	object
	unitOf
)

// focusSpec is what a column must be.
type focusSpec struct {
	name        string
	kind        focusKind
	null        bool
	allowed     []string
	since, last string
}

var focusSpecs = []focusSpec{
	{name: "BilledCost", kind: decimal},
	{name: "BillingAccountId"},
	{name: "BillingAccountName", null: true},
	{name: "BillingCurrency", kind: currency},
	{name: "BillingPeriodEnd", kind: moment},
	{name: "BillingPeriodStart", kind: moment},
	{name: "ChargeCategory", allowed: []string{"Usage", "Purchase", "Tax", "Credit", "Adjustment"}},
	{name: "ChargeClass", null: true, allowed: []string{"Correction"}},
	{name: "ChargeDescription", null: true},
	{name: "ChargeFrequency", allowed: []string{"One-Time", "Recurring", "Usage-Based"}},
	{name: "ChargePeriodEnd", kind: moment},
	{name: "ChargePeriodStart", kind: moment},
	{name: "ConsumedQuantity", kind: decimal, null: true},
	{name: "ConsumedUnit", kind: unitOf, null: true},
	{name: "ContractedCost", kind: decimal},
	{name: "ContractedUnitPrice", kind: decimal, null: true},
	{name: "EffectiveCost", kind: decimal},
	{name: "HostProviderName", since: "1.3"},
	{name: "InvoiceDetailId", null: true, since: "1.4"},
	{name: "InvoiceId", null: true},
	{name: "InvoiceIssuerName"},
	{name: "ListCost", kind: decimal},
	{name: "ListUnitPrice", kind: decimal, null: true},
	{name: "PricingCategory", null: true, allowed: []string{"Standard", "Committed", "Dynamic", "Other"}},
	{name: "PricingQuantity", kind: decimal, null: true},
	{name: "PricingUnit", kind: unitOf, null: true},
	{name: "ProviderName", last: "1.3"},
	{name: "PublisherName", last: "1.3"},
	{name: "RegionId", null: true},
	{name: "RegionName", null: true},
	{name: "ResourceId", null: true},
	{name: "ResourceName", null: true},
	{name: "ResourceType", null: true},
	{name: "ServiceCategory", allowed: []string{"Compute", "Networking", "Developer Tools", "Integration", "Web", "Other"}}, // those that could be
	{name: "ServiceName"},
	{name: "ServiceProviderName", since: "1.3"},
	{name: "ServiceSubcategory", allowed: slices.Collect(maps.Keys(focusParents))},
	{name: "SkuId", null: true},
	{name: "SkuMeter", null: true},
	{name: "SkuPriceDetails", kind: object, null: true},
	{name: "SkuPriceId", null: true},
	{name: "SubAccountId", null: true},
	{name: "SubAccountName", null: true},
	{name: "Tags", kind: object, null: true},
}

// focusParents are the only categories of subcategories: those that could be.
var focusParents = map[string]string{
	"Containers": "Compute", "Serverless Compute": "Compute", "Virtual Machines": "Compute", "Other (Compute)": "Compute",
	"Application Networking": "Networking", "Content Delivery": "Networking", "API Management": "Integration", "Application Platforms": "Web",
}

var (
	focusNumber  = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)                           // NumericFormat
	focusMoment  = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$`)          // DateTimeFormat
	focusUnit    = regexp.MustCompile(`^(([2-9]|[1-9][0-9]+) )?[A-Z][A-Za-z]*s$`)        // UnitFormat, of counts
	focusPascal  = regexp.MustCompile(`^(x_)?([A-Z][a-z0-9]+)+$`)                        // ColumnHandling
	focusNothing = regexp.MustCompile(`(?i)^(\s*|null|none|nil|n/?a|-|not applicable)$`) // NullHandling, StringHandling
)

func (k focusKind) ok(value string) bool {
	switch k {
	case decimal:
		return focusNumber.MatchString(value)
	case moment:
		_, err := time.Parse(time.RFC3339, value)
		return err == nil && focusMoment.MatchString(value)
	case currency: // CurrencyFormat
		return len(value) == 3 && strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	case unitOf:
		return focusUnit.MatchString(value)
	case object: // KeyValueFormat, and of prices: what FOCUS does not define begins with x_
		var pairs map[string]any
		if json.Unmarshal([]byte(value), &pairs) != nil || strings.Count(value, `":`) != len(pairs) {
			return false
		}
		for key, v := range pairs {
			if _, deep := v.(map[string]any); deep || !strings.HasPrefix(key, "x_") {
				return false
			}
		}
		return true
	}
	return !focusNothing.MatchString(value)
}

// focusRow has values by column; "" is null.
type focusRow map[string]string

func (r focusRow) number(name string) *big.Rat {
	n, ok := new(big.Rat).SetString(r[name])
	if !ok {
		return new(big.Rat)
	}
	return n
}

func (r focusRow) product(result, price string) bool {
	return r[price] == "" || r["PricingQuantity"] == "" || new(big.Rat).Mul(r.number(price), r.number("PricingQuantity")).Cmp(r.number(result)) == 0
}

// focusRule is of each row. spoil is what breaks it.
type focusRule struct {
	id    string
	ok    func(r focusRow) bool
	spoil focusRow
}

var focusRules = append([]focusRule{
	{"ListCost-C-009-C", func(r focusRow) bool { return r.product("ListCost", "ListUnitPrice") }, focusRow{"ListCost": "17.01"}},
	{"ContractedCost: product", func(r focusRow) bool { return r.product("ContractedCost", "ContractedUnitPrice") }, focusRow{"PricingQuantity": "77"}},
	{"ContractedCost: nothing is negotiated", func(r focusRow) bool { return r.number("ContractedCost").Cmp(r.number("ListCost")) == 0 }, focusRow{"ContractedCost": "0.01"}},
	{"ContractedUnitPrice: nothing is negotiated", func(r focusRow) bool { return r["ContractedUnitPrice"] == r["ListUnitPrice"] }, focusRow{"ContractedUnitPrice": "1.99"}},
	{"EffectiveCost: nothing is covered", func(r focusRow) bool { return r.number("EffectiveCost").Cmp(r.number("BilledCost")) == 0 }, focusRow{"EffectiveCost": "-3"}},
	{"ListUnitPrice-C-008-M", func(r focusRow) bool { return r.number("ListUnitPrice").Sign() >= 0 }, focusRow{"ListUnitPrice": "-2.00"}},
	{"ContractedUnitPrice: number range", func(r focusRow) bool { return r.number("ContractedUnitPrice").Sign() >= 0 }, focusRow{"ContractedUnitPrice": "-2.00"}},
	{"ServiceSubcategory-C-004-M", func(r focusRow) bool { return focusParents[r["ServiceSubcategory"]] == r["ServiceCategory"] }, focusRow{"ServiceCategory": "Web"}},
	{"ResourceName: not the id", func(r focusRow) bool { return r["ResourceName"] == "" || r["ResourceName"] != r["ResourceId"] }, focusRow{"ResourceName": "f", "ResourceId": "f"}},
	{"ChargeFrequency: usage", func(r focusRow) bool { return r["ChargeCategory"] != "Usage" || r["ChargeFrequency"] == "Usage-Based" }, focusRow{"ChargeFrequency": "One-Time"}},
	{"PricingCategory: Standard", func(r focusRow) bool { return r["PricingCategory"] == "Standard" }, focusRow{"PricingCategory": "Committed"}},
	{"BillingPeriodEnd: bounds", func(r focusRow) bool { return r["BillingPeriodStart"] < r["BillingPeriodEnd"] }, focusRow{"BillingPeriodEnd": "2020-01-01T00:00:00Z"}},
	{"ChargePeriodEnd: bounds", func(r focusRow) bool { return r["ChargePeriodStart"] < r["ChargePeriodEnd"] }, focusRow{"ChargePeriodEnd": "2020-01-01T00:00:00Z"}},
	{"ChargeClass: of closed periods", func(r focusRow) bool {
		within := r["BillingPeriodStart"] <= r["ChargePeriodStart"] && r["ChargePeriodEnd"] <= r["BillingPeriodEnd"]
		before := r["ChargePeriodEnd"] <= r["BillingPeriodStart"]
		return r["ChargeClass"] == "" && within || r["ChargeClass"] == "Correction" && before
	}, focusRow{"ChargeClass": "Correction", "BillingPeriodStart": "2020-01-01T00:00:00Z"}},
	{"CorrectionHandling: not on the invoice", func(r focusRow) bool { return r["ChargeClass"] == "" || r["InvoiceId"] == "" }, focusRow{"ChargeClass": "Correction", "InvoiceId": "acme/2026-11"}},
}, focusNullRules()...)

// focusNullRules say which columns are null with others, and which are never in rows of usage that are no corrections.
func focusNullRules() (rules []focusRule) {
	for _, p := range []struct{ name, with string }{
		{"ListUnitPrice", "SkuPriceId"},
		{"ContractedUnitPrice", "SkuPriceId"},
		{"PricingQuantity", "SkuPriceId"},
		{"PricingCategory", "SkuPriceId"},
		{"ConsumedQuantity", "SkuPriceId"},
		{"PricingUnit", "PricingQuantity"},
		{"ConsumedUnit", "ConsumedQuantity"},
		{"RegionName", "RegionId"},
		{"ResourceType", "ResourceId"},
		{"ResourceName", "ResourceId"},
		{"SubAccountName", "SubAccountId"},
		{"SkuMeter", "SkuId"},
	} {
		rules = append(rules,
			focusRule{p.name + ": null without " + p.with, func(r focusRow) bool { return r[p.with] != "" || r[p.name] == "" }, focusRow{p.with: ""}},
			focusRule{p.name + ": not null with " + p.with, func(r focusRow) bool { return r[p.with] == "" || r[p.name] != "" }, focusRow{p.name: ""}})
	}
	rules = append(rules, focusRule{
		"SkuPriceDetails-C-004-C", func(r focusRow) bool { return r["SkuPriceId"] != "" || r["SkuPriceDetails"] == "" },
		focusRow{"SkuPriceId": "", "SkuPriceDetails": `{"x_PlanName":"pro"}`},
	}, focusRule{ // of 1.4: what is on an invoice is in one of its details
		"InvoiceDetailId: with InvoiceId", func(r focusRow) bool {
			detail, there := r["InvoiceDetailId"]
			return !there || (detail == "") == (r["InvoiceId"] == "")
		}, focusRow{"InvoiceDetailId": "", "InvoiceId": "acme/2026-11"},
	})
	for _, name := range []string{"SkuId", "SkuPriceId", "ListUnitPrice", "ContractedUnitPrice", "PricingQuantity", "PricingCategory", "ConsumedQuantity"} {
		rules = append(rules, focusRule{name + ": of usage", func(r focusRow) bool {
			return r["ChargeCategory"] != "Usage" || r["ChargeClass"] == "Correction" || r[name] != ""
		}, focusRow{"ChargeClass": "", name: ""}})
	}
	return rules
}

// focusOnes has columns that have one value for each of another: of an id, of a price, of a service, of an invoice.
var focusOnes = map[string][2]string{
	"SkuPriceId-C-008-M":           {"SkuPriceId", "SkuId"},
	"SkuPriceDetails: of a price":  {"SkuPriceId", "SkuPriceDetails"},
	"SkuPriceId: over time":        {"SkuPriceDetails", "SkuPriceId"},
	"ServiceName-C-005-C":          {"ServiceName", "ServiceCategory"},
	"ServiceName-C-008-C":          {"ServiceName", "ServiceSubcategory"},
	"ResourceId: unique":           {"ResourceId", "ResourceName"},
	"InvoiceId: of an account":     {"InvoiceId", "BillingAccountId"},
	"InvoiceId: of a period":       {"InvoiceId", "BillingPeriodStart"},
	"BillingPeriodEnd: of a start": {"InvoiceId", "BillingPeriodEnd"},
	"SkuMeter: consistent":         {"SkuId", "SkuMeter"},
	"BillingCurrency: of invoices": {"InvoiceId", "BillingCurrency"},
}

// focusFile is a file of FOCUS.
type focusFile struct {
	header []string
	rows   []focusRow
}

func readFOCUS(t *testing.T, content []byte) (f focusFile) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	f.header = rows[0]
	for _, values := range rows[1:] {
		r := make(focusRow)
		for i, name := range f.header {
			r[name] = values[i]
		}
		f.rows = append(f.rows, r)
	}
	return f
}

// broken returns what a file breaks, by rule: an example of each. bills are the amounts of invoices; nil if they are not known.
func (f focusFile) broken(version string, bills map[string]*big.Rat) map[string]string {
	found := make(map[string]string)
	expect := func(ok bool, rule, format string, args ...any) {
		if !ok && found[rule] == "" {
			found[rule] = fmt.Sprintf(format, args...)
		}
	}
	f.headed(version, expect)
	for _, r := range f.rows {
		for i := range focusSpecs {
			s, value := &focusSpecs[i], r[focusSpecs[i].name]
			if !s.in(version) {
				continue
			}
			expect(s.null || value != "", s.name+": null", "%v", r)
			expect(value == "" || s.kind.ok(value), s.name+": format", "%q", value)
			expect(value == "" || s.allowed == nil || slices.Contains(s.allowed, value), s.name+": allowed values", "%q", value)
		}
		for _, rule := range focusRules {
			expect(rule.ok(r), rule.id, "%v", r)
		}
	}
	for rule, c := range focusOnes {
		seen := make(map[string]string)
		for _, r := range f.rows {
			before, known := seen[r[c[0]]]
			expect(!known || r[c[0]] == "" || before == r[c[1]], rule, "%s %q has %q and %q", c[0], r[c[0]], before, r[c[1]])
			seen[r[c[0]]] = r[c[1]]
		}
	}
	sums := f.sums("BilledCost", "InvoiceId")
	delete(sums, "")
	for id, want := range bills {
		got := sums[id]
		if got == nil {
			got = new(big.Rat)
		}
		expect(got.Cmp(want) == 0, "BilledCost: sum of an invoice", "%s has %s, want %s", id, got.FloatString(2), want.FloatString(2))
		delete(sums, id)
	}
	expect(bills == nil || len(sums) == 0, "BilledCost: sum of an invoice", "%v is more", sums)
	return found
}

func (s *focusSpec) in(version string) bool {
	return version >= s.since && (s.last == "" || version <= s.last)
}

func (f focusFile) headed(version string, expect func(ok bool, rule, format string, args ...any)) {
	for i := range focusSpecs {
		s := &focusSpecs[i]
		expect(slices.Contains(f.header, s.name) == s.in(version), "CostAndUsage: "+s.name+" present", "%q", f.header)
	}
	for _, name := range f.header {
		known := slices.ContainsFunc(focusSpecs, func(s focusSpec) bool { return s.name == name })
		expect(known || strings.HasPrefix(name, "x_"), "ColumnHandling: custom columns", "%s", name)
		expect(focusPascal.MatchString(name) && len(name) <= 50, "ColumnHandling: names", "%s", name)
	}
	expect(slices.IsSorted(f.header), "ColumnHandling: order", "%q", f.header) // x_ comes after A to Z
	expect(len(slices.Compact(slices.Sorted(slices.Values(f.header)))) == len(f.header), "ColumnHandling: once", "%q", f.header)
}

// sums adds a column up by others.
func (f focusFile) sums(name string, by ...string) map[string]*big.Rat {
	all := make(map[string]*big.Rat)
	for _, r := range f.rows {
		var key []string
		for _, b := range by {
			key = append(key, r[b])
		}
		k := strings.Join(key, "\x00")
		if all[k] == nil {
			all[k] = new(big.Rat)
		}
		all[k].Add(all[k], r.number(name))
	}
	return all
}
