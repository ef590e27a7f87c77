package cli

import (
	"io"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/health"
)

func healthCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "health",
		Usage: "[--live|--ready] " + flags,
		Short: "Says whether a running gateway is ready for calls",
		Long: `Says whether new calls should be sent to a running gateway, and if not, why. The
exit code is 0 if it is ready, otherwise 1, for probes that run a command. With
--live it is 0 as soon as the process answers, ready or not.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("health", "", " --live", " -o json")
			live := cmd.Flags().Bool("live", false, "succeed if the process answers, ready or not")
			ready := cmd.Flags().Bool("ready", false, "succeed if the gateway is ready (default)")
			ask(cmd, now, func() (question, answer, error) {
				if *live && *ready {
					return question{}, nil, &UsageError{Msg: "--live and --ready exclude one another", Hint: "keep one of them"}
				}
				return question{uri: "/edge_functions/health"}, &healthAnswer{live: *live}, nil
			})
		},
	}
}

type healthAnswer struct {
	health.Answer
	live bool
}

func (a *healthAnswer) complete() bool { return a.Reasons != nil && a.Ready == (len(a.Reasons) == 0) }

func (a *healthAnswer) yes() bool { return a.Ready || a.live }

func (a *healthAnswer) table(w io.Writer, _ time.Time) {
	_, _ = io.WriteString(w, healthText(a.Answer)+"\n")
}

// healthText is an answer in words.
func healthText(a health.Answer) string {
	if a.Ready {
		return "ready"
	}
	words := make([]string, len(a.Reasons))
	for i, reason := range a.Reasons {
		words[i] = strings.ReplaceAll(printable(string(reason)), "_", " ")
	}
	return "not ready: " + strings.Join(words, ", ")
}
