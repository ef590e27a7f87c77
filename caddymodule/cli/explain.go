package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/plan"
)

func explainCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "explain",
		Usage: "[--region R] [--from COUNTRY] [--project REF] [--down R,...] [--load R=N,...] [--at GATEWAY] [--request-id ID] " + flags,
		Short: "Shows in which region a request would run, and why",
		Long: `Shows in which region of a running gateway a request would run now, and why, by
the same code that serves requests. No request is sent to a function.

--region is what the request's x-region header would say: a region, a list in
order of preference, or any. --from is the country it comes from, --project
whose function it calls. --down and --load suppose that regions are down, or how
full they are (requests in flight by capacity), and --at that it arrives at
another gateway that shares the store. With the sb-request-id of an
answer as --request-id, the choice is the one that was made for it, as far as
the regions are the same.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("explain", "", " --region us-east-1", " --from KE --down eu-west-2 --load sa-east-1=0.95", ` --region "eu-west-1, any" -o json`)
			query := url.Values{}
			region := cmd.Flags().String("region", "", "the region that the request names; none by default")
			from := cmd.Flags().String("from", "", "the country that it comes from, as two letters")
			project := cmd.Flags().String("project", "", "the ref of the project that it calls")
			id := cmd.Flags().String("request-id", "", "its sb-request-id; a new one by default")
			at := cmd.Flags().String("at", "", "the id of another gateway, or the region where it is; edgegate status lists them")
			down := cmd.Flags().StringSlice("down", nil, "regions to be taken for down")
			load := cmd.Flags().StringSlice("load", nil, "loads of regions to be supposed, such as sa-east-1=0.95")
			ask(cmd, now, func() (question, answer, error) {
				if err := checkExplain(*region, *from, *load); err != nil {
					return question{}, nil, err
				}
				for name, values := range map[string][]string{
					"region": {*region}, "from": {*from}, "project": {*project}, "request_id": {*id}, "at": {*at}, "down": *down, "load": *load,
				} {
					for _, value := range values {
						if value != "" {
							query.Add(name, value)
						}
					}
				}
				uri := "/edge_functions/explain"
				if len(query) > 0 {
					uri += "?" + query.Encode()
				}
				hints := map[string]string{
					"project": "`edgegate projects list` lists the projects of this gateway",
					"at":      "`edgegate status` lists the gateways that are heard",
				}
				return question{uri: uri, hint: "`edgegate regions` lists the regions of this gateway", hints: hints}, &explainAnswer{asked: *region}, nil
			})
		},
	}
}

// checkExplain returns a usage error for flag values that every gateway would
// refuse.
func checkExplain(region, from string, load []string) error {
	if _, err := regions.ParseHint([]string{region}, ""); err != nil {
		return &UsageError{Msg: fmt.Sprintf("--region %q: %v", region, err), Hint: "write a region, a list such as eu-west-1,us-east-1, or any"}
	}
	if from != "" && !plan.ValidCountry(from) {
		hint := "write the two letters of the country, such as --from KE"
		if upper := strings.ToUpper(from); plan.ValidCountry(upper) {
			hint = "did you mean --from " + upper + "?"
		}
		return &UsageError{Msg: fmt.Sprintf("--from %q: must be a country's two capital letters", from), Hint: hint}
	}
	for _, item := range load {
		if _, _, err := plan.ParseLoad(item); err != nil {
			return &UsageError{Msg: "--load: " + err.Error(), Hint: "write --load sa-east-1=0.95; `edgegate regions` lists the regions"}
		}
	}
	return nil
}

type explainAnswer struct {
	plan.Explanation
	asked string // what the request names
}

func (a *explainAnswer) complete() bool { return a.Mode != "" && a.Candidates != nil }

func (a *explainAnswer) table(w io.Writer, _ time.Time) {
	asked, chosen, client := a.asked, a.Chosen, a.Client.Source
	if asked == "" {
		asked = "no region"
	}
	switch {
	case a.Why != "":
		chosen = "nowhere: " + printable(a.Why)
	case chosen == "":
		chosen = "nowhere: every region it may run in is down or drained, or has no list of backends" // contract 2.5
	case a.Reason == regions.ReasonFailOpen:
		chosen += ", once: every region is down" // contract 2.6
	}
	if a.Client.Country != nil {
		client = fmt.Sprintf("%s (%s)", *a.Client.Country, a.Client.Source)
	}
	rows := [][]string{
		{"Request names", asked},
		{"Runs in", chosen},
		{"Reason", cmp.Or(string(a.Reason), none)},
		{"Nearest to", string(a.Mode)},
		{"Client's place", client},
	}
	if a.RequestID != "" {
		rows = append(rows, []string{"Request id", a.RequestID})
	}
	write(w, rows)
	rows = append(make([][]string, 0, 1+len(a.Candidates)), []string{"REGION", "STATE", "RTT", "BASE", "FAST", "LOAD", "SCORE", "SHARE", "WHY"})
	for _, c := range a.Candidates {
		why := c.Why
		if why == "" {
			why = none
		}
		rows = append(rows, []string{
			c.Region, string(c.State), number(c.RTT, "%.1f ms"), number(c.Base, "%.1f"), number(c.Fast, "%.1f"), number(c.Load, "%.2f"),
			number(c.Score, "%.1f"), fmt.Sprintf("%.0f%%", c.Share*100), why,
		})
	}
	fmt.Fprintln(w)
	write(w, rows)
	for _, c := range a.Candidates {
		if c.Region == a.Chosen && len(c.Sources) > 0 {
			fmt.Fprintln(w)
			write(w, backendRows(c))
		}
	}
}

// explainedBackends bounds the rows of the table of backends; -o json lists all.
const explainedBackends = 20

// backendRows lists the backends of a region whose list comes from a source.
func backendRows(c plan.ExplainedRegion) [][]string {
	listed := make(map[string]string, len(c.Sources))
	for _, s := range c.Sources {
		listed[s.Source] = printable(s.Source)
		if s.Age != nil {
			listed[s.Source] += fmt.Sprintf(" %.0fs ago", *s.Age)
		}
		if s.Error != "" {
			listed[s.Source] += ", now " + printable(s.Error)
		}
	}
	rows := [][]string{{"BACKEND", "STATE", "SHARE", "LISTED BY"}}
	for i, b := range c.Backends {
		if i == explainedBackends {
			rows = append(rows, []string{fmt.Sprintf("and %d more; -o json lists them", len(c.Backends)-i)})
			break
		}
		by := cmp.Or(listed[b.Source], none)
		if b.Phase == regions.PhaseLeaving {
			by = "no more by " + printable(b.Source)
		}
		rows = append(rows, []string{printable(b.Address), phased(b.State, b.Phase), fmt.Sprintf("%.1f%%", b.Share*100), by})
	}
	return rows
}
