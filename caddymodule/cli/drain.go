package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/health"
	"github.com/edgegate/edgegate/regions"
)

func drainCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "drain",
		Usage: "R|--gateway [--over DURATION] [--last-resort] [--dry-run] [--no-stop] " + flags,
		Short: "Takes a region, or a gateway, out of use, little by little",
		Long: `Takes region R out of use: requests that name no region go elsewhere within the
first minute, those that name R are served until the end and then answered 503,
and WebSockets are told to go (1001) over the whole time. The order outlives
reloads and restarts, and with a store in Redis it holds for all gateways.

--dry-run says what would happen and does nothing. With --last-resort the region
is still used where every other one is down.

--gateway takes the gateway itself out of service: it says at once that it is not
ready, serves on for 15 s, or as --over says, so that load balancers notice, and
then stops, with the grace period for calls that run. The command returns when it
has stopped; "edgegate undrain --gateway" takes the order back until then. With
--no-stop it only waits: whatever runs the gateway stops it then.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("drain", " eu-west-2 --dry-run", " eu-west-2", " eu-west-2 --over 30m --last-resort", " --gateway --over 30s")
			var region string
			gateway, checkGateway := gatewayFlag(cmd)
			noStop := cmd.Flags().Bool("no-stop", false, "with --gateway: do not stop it when the time is over")
			over := cmd.Flags().String("over", "5m", "how long it takes, at most 24h; with --gateway 15s if not given")
			last := cmd.Flags().Bool("last-resort", false, "use the region where every other one is down")
			dry := cmd.Flags().Bool("dry-run", false, "only say what would happen")
			ask(cmd, now, func() (question, answer, error) {
				if err := cmp.Or(checkGateway(region), checkOver(*over, *gateway)); err != nil {
					return question{}, nil, err
				}
				if *gateway {
					if !cmd.Flags().Changed("over") {
						*over = health.DefaultOver.String()
					}
					return drainGatewayQuestion(*over, *noStop), new(gatewayDrainAnswer), refuseFlags(cmd, "with --gateway", "dry-run", "last-resort")
				}
				if err := refuseFlags(cmd, "without --gateway", "no-stop"); err != nil {
					return question{}, nil, err
				}
				return order("drain", map[string]any{"region": region, "over": *over, "last_resort": *last, "dry_run": *dry}), new(drainAnswer), nil
			}, Arg{Name: "R", Value: &region, Optional: true})
		},
	}
}

// checkOver returns a usage error for a --over that every gateway would refuse, of a
// region or of the gateway itself.
func checkOver(text string, gateway bool) error {
	check := func(over time.Duration) error { return regions.Drain{Over: over}.Validate() }
	if gateway {
		check = health.CheckOver
	}
	const hint = "write a duration of at most 24h, such as --over 30m"
	over, err := caddy.ParseDuration(text)
	if err != nil {
		return &UsageError{Msg: fmt.Sprintf("--over %q: must be a duration", text), Hint: hint}
	}
	if err := check(over); err != nil {
		return &UsageError{Msg: fmt.Sprintf("--over %q: %s", text, strings.TrimPrefix(err.Error(), "over: ")), Hint: hint}
	}
	return nil
}

func undrainCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "undrain",
		Usage: "R|--gateway [--dry-run] " + flags,
		Short: "Takes a drained region, or a drained gateway, back into use",
		Long: `Takes region R back into use. Its part of the requests grows to the whole within
a minute, as after an outage. With --gateway the gateway itself is ready again,
unless it stops already.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("undrain", " eu-west-2", " --gateway")
			var region string
			gateway, checkGateway := gatewayFlag(cmd)
			dry := cmd.Flags().Bool("dry-run", false, "only say what would happen")
			ask(cmd, now, func() (question, answer, error) {
				if err := checkGateway(region); err != nil {
					return question{}, nil, err
				}
				if *gateway {
					return order("undrain/gateway", map[string]any{}), new(gatewayDrainAnswer), refuseFlags(cmd, "with --gateway", "dry-run")
				}
				return order("undrain", map[string]any{"region": region, "dry_run": *dry}), new(drainAnswer), nil
			}, Arg{Name: "R", Value: &region, Optional: true})
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
