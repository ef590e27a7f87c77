package usage

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The supported versions of FOCUS, the FinOps Open Cost and Usage Specification
// (https://focus.finops.org).
const (
	FOCUS12 = "1.2"
	FOCUS13 = "1.3"
	FOCUS14 = "1.4"
)

// FOCUSVersions lists the versions, the default last.
func FOCUSVersions() []string { return []string{FOCUS12, FOCUS13, FOCUS14} }

// FOCUSOptions select the columns of FOCUS files.
type FOCUSOptions struct {
	Version string   // default 1.4
	Columns []string // default: all of the version
}

const (
	// provider sells the invocations and issues the invoice.
	provider = "edgegate"
	// sku is the only thing that is sold; an invoice has one line, for it.
	sku = "edge-functions-invocations"
	// requests is FOCUS's word for the unit that is counted.
	requests = "Requests"
)

// focusColumn is a column of FOCUS files.
type focusColumn struct {
	name        string
	value       func(*Charge) string // "" is null
	since, last string               // the first and last version that has it; "": the first or last there is
}

// focusColumns are all columns: those of FOCUS sorted by name, then our own.
var focusColumns = []focusColumn{
	{name: "BilledCost", value: cost},
	{name: "BillingAccountId", value: account},
	{name: "BillingAccountName", value: account},
	{name: "BillingCurrency", value: func(c *Charge) string { return c.Currency }},
	{name: "BillingPeriodEnd", value: func(c *Charge) string { return focusTime(c.Billed.End) }},
	{name: "BillingPeriodStart", value: func(c *Charge) string { return focusTime(c.Billed.Start) }},
	{name: "ChargeCategory", value: always("Usage")},
	{name: "ChargeClass", value: func(c *Charge) string { return unless(!c.Late, "Correction") }},
	{name: "ChargeDescription", value: description},
	{name: "ChargeFrequency", value: always("Usage-Based")},
	{name: "ChargePeriodEnd", value: func(c *Charge) string { return focusTime(c.WindowEnd) }},
	{name: "ChargePeriodStart", value: func(c *Charge) string { return focusTime(c.WindowStart) }},
	{name: "ConsumedQuantity", value: func(c *Charge) string { return strconv.FormatInt(c.Quantity, 10) }},
	{name: "ConsumedUnit", value: always(requests)},
	{name: "ContractedCost", value: cost},
	{name: "ContractedUnitPrice", value: unitPrice},
	{name: "EffectiveCost", value: cost},
	{name: "HostProviderName", value: always(provider), since: FOCUS13},
	// The invoice that has a charge after the bill is not known here.
	{name: "InvoiceDetailId", value: func(c *Charge) string { return unless(c.Late, sku) }, since: FOCUS14},
	{name: "InvoiceId", value: func(c *Charge) string { return unless(c.Late, c.AccountID+"/"+c.Period) }},
	{name: "InvoiceIssuerName", value: always(provider)},
	{name: "ListCost", value: cost},
	{name: "ListUnitPrice", value: unitPrice},
	{name: "PricingCategory", value: always("Standard")},
	{name: "PricingQuantity", value: pricingQuantity},
	{name: "PricingUnit", value: pricingUnit},
	{name: "ProviderName", value: always(provider), last: FOCUS13},
	{name: "PublisherName", value: always(provider), last: FOCUS13},
	{name: "RegionId", value: region},
	{name: "RegionName", value: region},
	{name: "ResourceId", value: func(c *Charge) string { return unless(c.FunctionID == "", c.ProjectID+"/"+c.FunctionID) }},
	{name: "ResourceName", value: func(c *Charge) string { return c.FunctionID }},
	{name: "ResourceType", value: func(c *Charge) string { return unless(c.FunctionID == "", "Function") }},
	{name: "ServiceCategory", value: always("Compute")},
	{name: "ServiceName", value: always("Edge Functions")},
	{name: "ServiceProviderName", value: always(provider), since: FOCUS13},
	{name: "ServiceSubcategory", value: always("Serverless Compute")},
	{name: "SkuId", value: always(sku)},
	{name: "SkuMeter", value: always("Invocations")},
	{name: "SkuPriceDetails", value: priceDetails},
	{name: "SkuPriceId", value: priceID},
	{name: "SubAccountId", value: project},
	{name: "SubAccountName", value: project},
	{name: "Tags", value: always("")}, // there are no tags
	{name: "x_LedgerSha256", value: func(c *Charge) string { return c.SHA256 }},
	{name: "x_LineId", value: func(c *Charge) string { return c.LineID }},
	{name: "x_PlanRevision", value: func(c *Charge) string { return c.PlanRev }},
	{name: "x_Revision", value: func(c *Charge) string { return strconv.FormatInt(c.Revision, 10) }},
	{name: "x_State", value: func(c *Charge) string { return string(c.State) }},
}

// WriteFOCUS writes charges as a FOCUS file, in constant memory. It stops at the
// first error of w or charges. Charges without an organization are left out, since
// nobody is billed for them, and so are those without quantity and amount.
func WriteFOCUS(w io.Writer, o FOCUSOptions, charges iter.Seq2[Charge, error]) (total Totals, err error) {
	columns, err := o.columns()
	if err != nil {
		return total, err
	}
	writer, row := csv.NewWriter(w), make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.name
	}
	if err := writer.Write(row); err != nil {
		return total, err
	}
	for c, err := range charges {
		if err != nil {
			return total, err
		}
		if c.AccountID == "" || c.Quantity == 0 && c.AmountMinor == 0 {
			continue
		}
		for i, column := range columns {
			row[i] = column.value(&c)
		}
		if err := writer.Write(row); err != nil {
			return total, err
		}
		total.add(&c.Line)
	}
	writer.Flush()
	return total, writer.Error()
}

// Validate returns an error for an unknown version or columns it does not have.
func (o FOCUSOptions) Validate() error {
	_, err := o.columns()
	return err
}

func (o FOCUSOptions) columns() (columns []focusColumn, err error) {
	if o.Version == "" {
		o.Version = FOCUS14
	}
	if !slices.Contains(FOCUSVersions(), o.Version) {
		return nil, fmt.Errorf("FOCUS %q: allowed are %s", o.Version, strings.Join(FOCUSVersions(), ", "))
	}
	var names []string
	for _, c := range focusColumns {
		if o.Version < c.since || c.last != "" && o.Version > c.last {
			continue
		}
		names = append(names, c.name)
		if len(o.Columns) == 0 || slices.Contains(o.Columns, c.name) {
			columns = append(columns, c)
		}
	}
	for _, name := range o.Columns {
		if !slices.Contains(names, name) {
			err = errors.Join(err, fmt.Errorf("files of FOCUS %s have no column %q", o.Version, name))
		}
	}
	return columns, err
}

func always(text string) func(*Charge) string { return func(*Charge) string { return text } }

func unless(null bool, text string) string {
	if null {
		return ""
	}
	return text
}

func account(c *Charge) string { return c.AccountID }

func project(c *Charge) string { return c.ProjectID }

func region(c *Charge) string { return c.Region }

// cost returns the value of all four cost columns: there are no discounts.
func cost(c *Charge) string { return c.money(c.AmountMinor) }

func (c *Charge) money(minor int64) string { return Decimal(minor, c.Currency) }

// unitPrice returns the price of a pricingUnit.
func unitPrice(c *Charge) string {
	if c.Package == 0 {
		return c.money(0)
	}
	return c.money(c.Minor)
}

// pricingUnit returns the unit that has a price: a package, or a single request if
// nothing is sold.
func pricingUnit(c *Charge) string {
	if c.Package <= 1 {
		return requests
	}
	return strconv.FormatInt(c.Package, 10) + " " + requests
}

// pricingQuantity returns the number of pricing units: it times the unit price is
// the cost.
func pricingQuantity(c *Charge) string {
	if c.Package == 0 {
		return strconv.FormatInt(c.Quantity, 10)
	}
	return strconv.FormatInt(c.Packages, 10)
}

// priceID returns the id of a plan's price, which stays when the amount changes.
func priceID(c *Charge) string {
	if c.Plan == "" {
		return sku
	}
	return sku + "/" + c.Plan
}

func priceDetails(c *Charge) string {
	if c.Plan == "" {
		return ""
	}
	text, _ := json.Marshal(map[string]string{"x_PlanName": c.Plan}) // nothing in it can fail
	return string(text)
}

func description(c *Charge) string {
	text := fmt.Sprintf("Invocations of %s in %s", c.FunctionID, c.Region)
	if c.Package == 0 {
		return text + ", not charged"
	}
	return fmt.Sprintf("%s, %s %s per %s beyond %d", text, unitPrice(c), c.Currency, pricingUnit(c), c.Included)
}

func focusTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
