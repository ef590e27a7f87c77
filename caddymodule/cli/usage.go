package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

func usageCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "usage",
		Usage: "show|bill|export|reconcile|verify|recover|proof|adjust|exporters|push",
		Short: "Shows what was used, and what it costs",
		Long:  "Commands for the invocations that a running gateway counted.",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("usage", " show", " bill --period 2026-11", " export --format parquet --out usage.parquet", " reconcile --period 2026-11")
			group(cmd, usageShow(now), usageBill(now), usageExport(), usageReconcile(), usageVerify(now), usageRecover(now), usageProof(now), usageAdjust(now), usageExporters(now), usagePush(now))
		},
	}
}

func usageShow(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [--period MONTH] [--org ID] [--daily] " + flags,
		Short: "Shows the invocations of a billing period",
		Long: `Shows how many invocations were counted in the current billing period of each
organization, by project, function and region, up to the latest one. --period
shows the periods that started in a month. --daily also shows how many there were
on each day; on a terminal it need not be asked for (--daily=false).`,
		Example: examples("usage show", "", " --period 2026-11", " --org acme --daily -o json"),
	}
	month := cmd.Flags().String("period", "", "month in which the periods started, such as 2026-11")
	org := cmd.Flags().String("org", "", "one organization, by its id")
	daily := cmd.Flags().Bool("daily", false, "show each day (default: on a terminal)")
	ask(cmd, now, func() (question, answer, error) {
		if err := checkMonth(*month); err != nil {
			return question{}, nil, err
		}
		into := new(usageAnswer)
		var terminal bool
		into.screen, terminal = screenOf(cmd)
		asked := map[string]string{"period": *month, "organization": *org}
		if *daily || terminal && !cmd.Flags().Changed("daily") && !cmd.Flags().Changed("output") {
			asked["daily"] = "true"
		}
		return question{uri: withQuery("/edge_functions/usage", asked), hints: organizationHints}, into, nil
	})
	return cmd
}

// organizationHints are for answers about an organization that is not there.
var organizationHints = map[string]string{"organization": organizationsHint}

// withQuery appends those of the parameters that have a value.
func withQuery(path string, parameters map[string]string) string {
	query := make(url.Values)
	for name, value := range parameters {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

type usageAnswer struct {
	billing.UsageAnswer
	screen screen
}

func (a *usageAnswer) complete() bool { return a.Organizations != nil }

func (a *usageAnswer) partial() string { return a.Partial }

func (a *usageAnswer) table(w io.Writer, _ time.Time) {
	if len(a.Organizations) == 0 {
		fmt.Fprintln(w, "Nothing was used in that period.")
		return
	}
	rows := [][]string{{"ORGANIZATION", "PERIOD", "PROJECT", "FUNCTION", "REGION", "INVOCATIONS", "ADJUSTED"}}
	anyAdjusted := false
	row := func(o, period, project, function, region string, invocations uint64, adjusted int64) {
		by := ""
		if adjusted != 0 {
			anyAdjusted, by = true, signed(adjusted)
		}
		rows = append(rows, []string{printable(cmp.Or(o, none)), printable(period), printable(project), printable(function), printable(region), count(invocations), by})
	}
	for _, o := range a.Organizations {
		row(o.ID, o.Period.ID, "", "", "", o.Invocations, o.Adjusted)
		for _, p := range o.Projects {
			for _, f := range p.Functions {
				row(o.ID, o.Period.ID, p.Ref, f.Slug, f.Region, f.Invocations, f.Adjusted)
			}
		}
	}
	for i := range rows {
		if !anyAdjusted {
			rows[i] = rows[i][:len(rows[i])-1]
		}
	}
	write(w, rows)
	for _, o := range a.Organizations {
		if len(o.Daily) == 0 {
			continue
		}
		fmt.Fprintf(w, "\nInvocations of %s a day\n", printable(cmp.Or(o.ID, none)))
		days := make([]bar, len(o.Daily))
		for i, d := range o.Daily {
			days[i] = bar{printable(d.Date), d.Invocations}
		}
		a.screen.bars(w, days)
	}
}

// signed is a number with its sign, also a plus.
func signed(n int64) string {
	if n > 0 {
		return "+" + count(n)
	}
	return count(n)
}

// count writes a number with its thousands apart.
func count[N int64 | uint64](n N) string { return humanize.Comma(int64(n)) }
