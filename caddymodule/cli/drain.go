package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/regions"
)

func drainCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "drain",
		Usage: "R [--over DURATION] [--last-resort] [--dry-run] " + flags,
		Short: "Takes a region out of use, little by little",
		Long: `Takes region R out of use: requests that name no region go elsewhere within the
first minute, those that name R are served until the end and then answered 503,
and WebSockets are told to go (1001) over the whole time. The order outlives
reloads and restarts, and with a store in Redis it holds for all gateways.

--dry-run says what would happen and does nothing. With --last-resort the region
is still used where every other one is down.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("drain", " eu-west-2 --dry-run", " eu-west-2", " eu-west-2 --over 30m --last-resort")
			var region string
			over := cmd.Flags().String("over", "5m", "how long it takes, at most 24h")
			last := cmd.Flags().Bool("last-resort", false, "use the region where every other one is down")
			dry := cmd.Flags().Bool("dry-run", false, "only say what would happen")
			ask(cmd, now, func() (question, answer, error) {
				if err := checkOver(*over); err != nil {
					return question{}, nil, err
				}
				return order("drain", map[string]any{"region": region, "over": *over, "last_resort": *last, "dry_run": *dry}), new(drainAnswer), nil
			}, Arg{Name: "R", Value: &region})
		},
	}
}

// checkOver returns a usage error for a --over that every gateway would refuse.
func checkOver(text string) error {
	const hint = "write a duration of at most 24h, such as --over 30m"
	over, err := caddy.ParseDuration(text)
	if err != nil {
		return &UsageError{Msg: fmt.Sprintf("--over %q: must be a duration", text), Hint: hint}
	}
	if err := (regions.Drain{Over: over}).Validate(); err != nil {
		return &UsageError{Msg: fmt.Sprintf("--over %q: %s", text, strings.TrimPrefix(err.Error(), "over: ")), Hint: hint}
	}
	return nil
}

func undrainCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "undrain",
		Usage: "R [--dry-run] " + flags,
		Short: "Takes a drained region back into use",
		Long: `Takes region R back into use. Its part of the requests grows to the whole within
a minute, as after an outage.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("undrain", " eu-west-2")
			var region string
			dry := cmd.Flags().Bool("dry-run", false, "only say what would happen")
			ask(cmd, now, func() (question, answer, error) {
				return order("undrain", map[string]any{"region": region, "dry_run": *dry}), new(drainAnswer), nil
			}, Arg{Name: "R", Value: &region})
		},
	}
}

func order(path string, body map[string]any) question {
	return question{uri: "/edge_functions/" + path, body: body, hint: "`edgegate regions` shows the regions of this gateway and their states"}
}

type drainAnswer struct{ gateway.DrainAnswer }

func (a *drainAnswer) complete() bool { return a.Region != "" && a.State != "" }

func (a *drainAnswer) table(w io.Writer, now time.Time) {
	rows := [][]string{{"Region", a.Region}, {"State", string(a.State)}}
	if a.DryRun {
		rows[1][1] += " (dry run: nothing is done)"
	}
	rows = append(rows, []string{"Running there", fmt.Sprintf("%s, of which %s",
		plural(int(a.InFlight), "request"), plural(a.WebSockets, "WebSocket"))})
	if a.Ends != nil {
		takers := strings.Join(a.Takers, ", ")
		if takers == "" {
			takers = none
		}
		rows = append(rows, []string{"Ends in", age(now, *a.Ends)}, []string{"Others take over", takers})
	}
	for _, warning := range a.Warnings {
		rows = append(rows, []string{"Warning", printable(warning)})
	}
	write(w, rows)
}
