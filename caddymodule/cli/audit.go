package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/audit"
)

// severities in the order in which findings are shown.
var severities = []string{"high", "medium", "low", "info"}

func auditCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "audit",
		Usage: "[--min-severity high|medium|low|info] " + flags,
		Short: "Shows what of a running gateway's configuration is unsafe, and the remedy",
		Long: `Shows what of the configuration and the projects of a running gateway is unsafe or
probably not meant: weak or well-known secrets, functions that anyone may call,
expired keys and the like, each with the remedy.

The exit code is 1 when there is a finding of --min-severity or worse. Findings
of less are shown too.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("audit", "", " --min-severity high", " -o json")
			least := cmd.Flags().String("min-severity", "medium", "the severity from which on the exit code is 1")
			ask(cmd, now, func() (question, answer, error) {
				return question{uri: "/edge_functions/audit"}, &auditAnswer{least: *least}, OneOf("min-severity", *least, severities...)
			})
		},
	}
}

type auditAnswer struct {
	audit.Answer
	least string // the severity from which on a finding makes the command fail
}

// rank is 0 for the worst severity. One that this build does not know comes
// from a newer gateway: better to look at it than to miss it.
func rank(f audit.Finding) int { return max(slices.Index(severities, string(f.Severity)), 0) }

func (a *auditAnswer) complete() bool { return a.Findings != nil }

func (a *auditAnswer) yes() bool {
	worst := slices.Index(severities, a.least)
	return !slices.ContainsFunc(a.Findings, func(f audit.Finding) bool { return rank(f) <= worst })
}

func (a *auditAnswer) table(w io.Writer, _ time.Time) {
	if len(a.Findings) == 0 {
		fmt.Fprintln(w, "No findings")
		return
	}
	sorted := slices.Clone(a.Findings)
	slices.SortStableFunc(sorted, func(a, b audit.Finding) int { return cmp.Compare(rank(a), rank(b)) })
	for _, f := range sorted {
		fmt.Fprintf(w, "%-6s  %s  %s\n        %s\n", printable(string(f.Severity)), printable(f.Check), printable(f.Subject), printable(f.Message))
		if f.Remedy != "" {
			fmt.Fprintf(w, "        Remedy: %s\n", printable(f.Remedy))
		}
	}
	var counts []string
	for _, severity := range severities {
		n := 0
		for _, f := range sorted {
			if severities[rank(f)] == severity {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, severity))
		}
	}
	fmt.Fprintf(w, "\n%s: %s\n", plural(len(sorted), "finding"), strings.Join(counts, ", "))
}
