package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// watchEvery is the interval of `status --watch`.
const watchEvery = 2 * time.Second

func statusCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "status",
		Usage: "[--watch] " + flags,
		Short: "Shows where a running gateway is and how its regions are",
		Long: `Shows the version, id and place of a running gateway, where its projects come
from, where it keeps what it counts, whether it is ready, how many WebSockets are
open, and each region with its state. In a terminal lines are not longer than it is
wide, and states are coloured unless NO_COLOR is set.

--watch shows it again every two seconds, until interrupted, also while no gateway
answers.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("status", "", " --watch", " --address localhost:2020", " -o json")
			watch := cmd.Flags().Bool("watch", false, "show it again every two seconds")
			ask(cmd, now, func() (question, answer, error) {
				into := &statusAnswer{terminal: terminalOf(cmd)}
				asked := question{uri: "/edge_functions/status"}
				if *watch {
					w := statusWatch{cmd: cmd, now: now}
					return question{stream: w.run}, nil, nil
				}
				return asked, into, nil
			})
		},
	}
}

// statusWatch shows the status of a gateway again and again.
type statusWatch struct {
	cmd *cobra.Command
	now func() time.Time
}

func (w statusWatch) run(ctx context.Context, gateway admin, output string) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		text, err := w.once(ctx, gateway, output)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if terminalOf(w.cmd).width > 0 && output != "json" {
			text = "\x1b[H\x1b[2J" + text // the screen is cleared
		}
		if err := show(w.cmd, []byte(text)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// once returns the status as it is now. A gateway that does not answer is no error: it
// may come back.
func (w statusWatch) once(ctx context.Context, gateway admin, output string) (string, error) {
	body, err := gateway.ask(ctx, question{uri: "/edge_functions/status"})
	var failure *FailureError
	if errors.As(err, &failure) && (failure.unreached || failure.status == "503") {
		if output == "json" {
			text, _ := json.Marshal(map[string]string{"error": failure.Msg})
			return string(text) + "\n", nil
		}
		return failure.Msg + "\n", nil
	}
	if err != nil {
		return "", err
	}
	into := &statusAnswer{terminal: terminalOf(w.cmd)}
	if err := json.Unmarshal(body, into); err != nil || !into.complete() {
		return "", gateway.stranger("another JSON than expected, or none")
	}
	var text bytes.Buffer
	if output == "json" {
		_ = json.Compact(&text, bytes.TrimSpace(body))
	} else {
		fmt.Fprintf(&text, "%s, %s\n\n", gateway.address, w.now().Format(time.TimeOnly))
		into.table(&text, w.now())
	}
	text.WriteByte('\n')
	return text.String(), nil
}
