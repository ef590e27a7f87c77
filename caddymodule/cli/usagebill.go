package cli

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

func usageBill(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bill [--period MONTH] [--org ID] " + flags,
		Short: "Shows what organizations have to pay",
		Long: `Shows for each organization what it used in its current billing period, or in
those that started in a month, how much of that is beyond what is included, and
what that costs: the sum of the lines of usage export. It is final when the
period is over and all gateways have said what they used.`,
		Example: examples("usage bill", "", " --period 2026-11", " --org acme -o json"),
	}
	month := cmd.Flags().String("period", "", "month in which the periods started, such as 2026-11")
	org := cmd.Flags().String("org", "", "one organization, by its id")
	ask(cmd, now, func() (question, answer, error) {
		if err := checkMonth(*month); err != nil {
			return question{}, nil, err
		}
		return question{uri: withQuery("/edge_functions/usage/bill", map[string]string{"period": *month, "organization": *org}), hints: organizationHints}, new(billAnswer), nil
	})
	return cmd
}

type billAnswer struct{ billing.BillAnswer }

func (a *billAnswer) complete() bool { return a.Organizations != nil }

func (a *billAnswer) table(w io.Writer, _ time.Time) {
	if len(a.Organizations) == 0 {
		fmt.Fprintln(w, "Nothing was used in that period.")
		return
	}
	rows := [][]string{{"ORGANIZATION", "PERIOD", "PLAN", "INCLUDED", "USED", "OVER", "PACKAGES", "AMOUNT", "STATE"}}
	for _, o := range a.Organizations {
		included := none
		if o.Included >= 0 {
			included = count(o.Included)
		}
		rows = append(rows, []string{
			printable(cmp.Or(o.ID, none)), printable(o.Period.ID), printable(cmp.Or(o.Plan, none)), included, count(o.Invocations), count(o.Over),
			count(o.Packages), printable(o.Amount + " " + o.Currency), printable(string(o.State)),
		})
	}
	write(w, rows)
	for i := range a.Organizations {
		writeTerms(w, &a.Organizations[i])
	}
}

// writeTerms lists the terms of a bill that has several.
func writeTerms(w io.Writer, o *billing.OrganizationBill) {
	if len(o.Terms) < 2 {
		return
	}
	fmt.Fprintf(w, "\nTerms of %s in %s, beginning in UTC\n", printable(cmp.Or(o.ID, none)), printable(o.Period.ID))
	rows := [][]string{{"FROM", "PLAN", "INCLUDED", "PRICE", "USED", "PACKAGES", "AMOUNT"}}
	for _, t := range o.Terms {
		included, price := none, "none sold"
		if t.Included >= 0 {
			included = count(t.Included)
		}
		if t.Package > 0 {
			price = t.Price + " per " + count(t.Package)
		}
		rows = append(rows, []string{
			t.From.UTC().Format("2006-01-02 15:04"), printable(cmp.Or(t.Plan, none)), included, printable(price),
			count(t.Invocations), count(t.Packages), printable(t.Amount + " " + o.Currency),
		})
	}
	write(w, rows)
}
