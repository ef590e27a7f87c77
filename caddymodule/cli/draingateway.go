package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/health"
)

// drainPoll is the interval at which the state of the drain is asked for.
const drainPoll = 250 * time.Millisecond

// gatewayFlag adds --gateway to drain and undrain. The returned function checks it
// against the region that was named, "" for none.
func gatewayFlag(cmd *cobra.Command) (chosen *bool, check func(region string) error) {
	chosen = cmd.Flags().Bool("gateway", false, "the gateway itself instead of a region")
	return chosen, func(region string) error {
		switch {
		case *chosen && region != "":
			return &UsageError{Msg: "--gateway and a region exclude one another", Hint: "the gateway is the one that answers at --address"}
		case !*chosen && region == "":
			return &UsageError{Msg: cmd.Name() + " takes R, or --gateway", Hint: "`edgegate regions` shows the regions"}
		}
		return nil
	}
}

// refuseFlags returns a usage error if one of the flags was given: --gateway has none
// of them.
func refuseFlags(cmd *cobra.Command, what string, names ...string) error {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return &UsageError{Msg: fmt.Sprintf("--%s: not %s", name, what), Hint: cmd.CommandPath() + " --help lists the flags"}
		}
	}
	return nil
}

// drainGatewayQuestion orders the drain of the gateway and waits until it is over.
func drainGatewayQuestion(over string, noStop bool) question {
	return question{
		uri:  "/edge_functions/drain/gateway",
		body: map[string]any{"over": over, "no_stop": noStop},
		hint: "write a duration of at most 24h, such as --over 30s",
		then: func(ctx context.Context, gateway admin) error { return awaitDrained(ctx, gateway, !noStop) },
	}
}

// awaitDrained waits until the gateway has stopped or, if it does not stop, until the
// time of the drain is over.
func awaitDrained(ctx context.Context, gateway admin, stops bool) error {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return &FailureError{Msg: "not waited for the end of the drain", Hint: "the drain goes on; `edgegate undrain --gateway` takes it back"}
		case <-tick.C:
		}
		body, err := gateway.ask(ctx, question{uri: "/edge_functions/drain/gateway"})
		var failure *FailureError
		switch {
		case err == nil:
		case errors.As(err, &failure) && failure.unreached && stops:
			return nil // it has stopped
		case errors.As(err, &failure) && failure.status == "503" && stops:
			continue // its last calls end
		default:
			return err
		}
		var status health.Status
		if err := json.Unmarshal(body, &status); err != nil {
			return gateway.stranger("another JSON than expected, or none")
		}
		switch status.Phase {
		case health.Serving:
			return &FailureError{Msg: "the drain was taken back", Hint: "the gateway is in service; `edgegate drain --gateway` drains it again"}
		case health.Drained:
			return nil
		case health.Draining, health.Stopping:
		}
	}
}

type gatewayDrainAnswer struct{ health.Status }

func (a *gatewayDrainAnswer) complete() bool { return a.Phase != "" }

func (a *gatewayDrainAnswer) table(w io.Writer, now time.Time) {
	rows := [][]string{{"Gateway", printable(string(a.Phase))}}
	if a.Ends != nil {
		what := "Drained in"
		if a.Stops {
			what = "Stops in"
		}
		rows = append(rows, []string{what, age(now, *a.Ends)})
	}
	write(w, rows)
}
