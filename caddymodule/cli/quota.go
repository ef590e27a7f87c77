package cli

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

func quotaCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "quota",
		Usage: "show|set|release",
		Short: "Shows and sets quotas",
		Long:  "Commands for the quotas of organizations.",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("quota", " show", " set acme 3000000", " set acme default", " release 4f1c2a9b7d3e")
			group(cmd, quotaShow(now), quotaSet(now), quotaRelease(now))
		},
	}
}

func quotaShow(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [--org ID] " + flags,
		Short: "Shows how far quotas are used",
		Long: `Shows for each organization its plan, how many invocations it may make in the
current billing period, and how many it made. Below are invocations that nobody can
make, since a gateway holds them that is not there: since when, why, and the command
that gives them back.`,
		Example: examples("quota show", "", " --org acme", " -o json"),
	}
	org := cmd.Flags().String("org", "", "one organization, by its id")
	ask(cmd, now, func() (question, answer, error) {
		return question{uri: withQuery("/edge_functions/quota", map[string]string{"organization": *org}), hints: organizationHints}, new(quotaAnswer), nil
	})
	return cmd
}

const organizationsHint = "`edgegate quota show` lists the organizations of this gateway"

// byConfiguration is the limit that takes back what was set.
const byConfiguration = "default"

func quotaSet(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set ORG LIMIT|default " + flags,
		Short: "Sets an organization's quota",
		Long: `Puts a quota in force in place of the configured one, for all gateways that share
the store, until it is set again. With default the configured one is in force
again. What was used stays used. It moves the limit at which calls are refused, and
never what the price includes: a bill goes by the plan. To include more, change the
quota of the plan or the organization in the configuration.`,
		Example: examples("quota set", " acme 3000000", " acme default"),
	}
	var org, limit string
	ask(cmd, now, func() (question, answer, error) {
		body := map[string]any{"organization": org, "limit": nil}
		if limit != byConfiguration {
			n, err := strconv.ParseInt(limit, 10, 64)
			if err != nil || n < 0 || n > billing.MaxLimit {
				return question{}, nil, &UsageError{
					Msg:  fmt.Sprintf("%q is no quota", limit),
					Hint: fmt.Sprintf("write a whole number of invocations from 0 to %d, or default for the configured quota", billing.MaxLimit),
				}
			}
			body["limit"] = n
		}
		return question{uri: "/edge_functions/quota", body: body, hints: organizationHints}, new(quotaAnswer), nil
	}, Arg{Name: "ORG", Value: &org}, Arg{Name: "LIMIT", Value: &limit})
	return cmd
}

func quotaRelease(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release GATEWAY " + flags,
		Short: "Releases the grants of a gateway that is lost",
		Long: `Gives back what a gateway was granted of hard quotas and has not used, as far as
Redis knows. For gateways that will never come back, and whose disk is lost: what
such a one sent in the seconds before its end, and did not tell Redis, may be
granted again. GATEWAY is its id, as status, the logs and gw:instances have it.
With the embedded store: a gateway whose log is not in the directory any more, which
` + "`quota show`" + ` lists. What it had used is not known then, and is granted again.`,
		Example: examples("quota release", " 4f1c2a9b7d3e"),
	}
	var gateway string
	ask(cmd, now, func() (question, answer, error) {
		if gateway == "" {
			return question{}, nil, &UsageError{
				Msg:  "GATEWAY is empty",
				Hint: "`edgegate quota show` lists the gateways that hold units and are not there",
			}
		}
		return question{
			uri: "/edge_functions/quota", body: map[string]any{"release": gateway},
			hint: "a gateway that starts again on its directory needs no release",
		}, new(quotaAnswer), nil
	}, Arg{Name: "GATEWAY", Value: &gateway})
	return cmd
}

type quotaAnswer struct{ billing.QuotaAnswer }

func (a *quotaAnswer) complete() bool { return a.Organizations != nil }

func (a *quotaAnswer) partial() string { return a.Partial }

func (a *quotaAnswer) table(w io.Writer, _ time.Time) {
	a.released(w)
	if len(a.Organizations) == 0 {
		fmt.Fprintln(w, "No project has an organization.")
		return
	}
	rows := [][]string{{"ORGANIZATION", "PLAN", "PERIOD ENDS", "LIMIT", "USED", "REMAINING", "STATE"}}
	for _, o := range a.Organizations {
		limit, remaining := none, none
		if o.Limit != nil {
			limit = count(*o.Limit)
			switch {
			case o.Set && !o.Hard:
				limit += " (set, soft)"
			case o.Set:
				limit += " (set)"
			case !o.Hard:
				limit += " (soft)"
			}
		}
		if o.Remaining != nil {
			remaining = count(*o.Remaining)
		}
		rows = append(rows, []string{
			printable(o.ID), printable(cmp.Or(o.Plan, none)), o.Period.End.UTC().Format("2006-01-02 15:04"),
			limit, count(o.Used), remaining, printable(string(o.State)),
		})
	}
	write(w, rows)
	for _, o := range a.Organizations {
		for _, h := range o.Held {
			last := ""
			if h.Seen != nil {
				last = ", last seen " + h.Seen.UTC().Format("2006-01-02 15:04:05")
			}
			fmt.Fprintf(w, "%s: gateway %s%s, holds %s of the remaining: %s. If it never comes back: %s\n",
				printable(o.ID), printable(h.Gateway), last, count(h.Units), printable(h.Why), printable(h.Command))
		}
		if o.Set && o.Limit != nil {
			fmt.Fprintf(w, "%s: the limit was set by `quota set`; %s\n", printable(o.ID), includedWords(o.Included))
		}
	}
}

// released prints how many units an order gave back to each organization.
func (a *quotaAnswer) released(w io.Writer) {
	r := a.Released
	if r == nil {
		return
	}
	if len(r.Quotas) == 0 {
		fmt.Fprintf(w, "Gateway %s held nothing; nobody waits for it any more.\n", printable(r.Gateway))
	}
	for _, q := range r.Quotas {
		fmt.Fprintf(w, "Released %s of %s, period %s, which gateway %s held.\n",
			count(q.Units), printable(q.Organization), printable(q.Period), printable(r.Gateway))
	}
}

// includedWords says what bills include while a limit is set.
func includedWords(included *int64) string {
	if included == nil {
		return "bills include all invocations, as the plan says"
	}
	return fmt.Sprintf("bills still include %s invocations, as the plan says", count(*included))
}
