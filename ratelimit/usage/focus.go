package usage

import (
	"fmt"
	"strconv"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Provider is who sells the invocations, in files of FOCUS.
const provider = "edgegate"

// focusColumns are those of the FinOps Open Cost and Usage Specification 1.4:
// https://focus.finops.org. What it does not know begins with x_.
var focusColumns = []csvColumn{
	{"BilledCost", amount},
	{"BillingAccountId", account},
	{"BillingAccountName", account},
	{"BillingCurrency", func(l *Line) string { return l.Currency }},
	{"BillingPeriodEnd", func(l *Line) string { return focusTime(billingPeriod(l).End) }},
	{"BillingPeriodStart", func(l *Line) string { return focusTime(billingPeriod(l).Start) }},
	{"ChargeCategory", always("Usage")},
	{"ChargeClass", always("")}, // rows have the whole of a line, also of one that was corrected
	{"ChargeDescription", func(l *Line) string { return fmt.Sprintf("Invocations of %s in %s", l.FunctionID, l.Region) }},
	{"ChargeFrequency", always("Usage-Based")},
	{"ChargePeriodEnd", func(l *Line) string { return focusTime(l.WindowEnd) }},
	{"ChargePeriodStart", func(l *Line) string { return focusTime(l.WindowStart) }},
	{"ConsumedQuantity", func(l *Line) string { return strconv.FormatInt(l.Quantity, 10) }},
	{"ConsumedUnit", always("Requests")},
	{"ContractedCost", amount},
	{"EffectiveCost", amount},
	{"HostProviderName", always(provider)},
	{"InvoiceId", func(l *Line) string { return l.AccountID + "/" + l.Period }},
	{"InvoiceIssuerName", always(provider)},
	{"ListCost", amount},
	{"PricingCategory", always("Standard")},
	{"PricingQuantity", func(l *Line) string { return strconv.FormatInt(l.Packages, 10) }},
	{"PricingUnit", always("Packages")},
	{"RegionId", func(l *Line) string { return l.Region }},
	{"RegionName", func(l *Line) string { return l.Region }},
	{"ResourceId", resource},
	{"ResourceName", func(l *Line) string { return l.FunctionID }},
	{"ResourceType", always("Function")},
	{"ServiceCategory", always("Compute")},
	{"ServiceName", always("Edge Functions")},
	{"ServiceProviderName", always(provider)},
	{"ServiceSubcategory", always("Serverless Compute")},
	{"SkuId", always("edge-functions-invocations")},
	{"SkuMeter", always("Invocations")},
	{"SkuPriceId", func(l *Line) string { return "edge-functions-invocations-" + l.PlanRev }},
	{"SubAccountId", func(l *Line) string { return l.ProjectID }},
	{"SubAccountName", func(l *Line) string { return l.ProjectID }},
	{"Tags", always("{}")},
	{"x_LedgerSha256", func(l *Line) string { return l.SHA256 }},
	{"x_LineId", func(l *Line) string { return l.LineID }},
	{"x_Revision", func(l *Line) string { return strconv.FormatInt(l.Revision, 10) }},
	{"x_State", func(l *Line) string { return string(l.State) }},
}

func always(text string) func(*Line) string { return func(*Line) string { return text } }

func account(l *Line) string { return l.AccountID }

func resource(l *Line) string { return l.ProjectID + "/" + l.FunctionID }

// amount is a line's price as a decimal number.
func amount(l *Line) string { return Decimal(l.AmountMinor, l.Currency) }

func focusTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func billingPeriod(l *Line) metering.Period {
	_, p, _ := metering.CycleOf(l.Period)
	return p
}
