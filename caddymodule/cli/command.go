// Package cli holds the commands that ask a running gateway over its admin
// API: status, regions and explain. It decides how answers look in a terminal
// and how errors and exit codes do; what the answers say is decided by the
// gateway, and with -o json they pass as they came. [Run] gives other
// commands of the binary the same errors.
package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	for _, c := range commands(time.Now) {
		caddycmd.RegisterCommand(c)
	}
}

// commands are those of this package; now is the clock that ages are told by.
func commands(now func() time.Time) []caddycmd.Command {
	const flags = "[--address ADDR] [-o table|json]"
	return []caddycmd.Command{
		{
			Name:  "status",
			Usage: flags,
			Short: "Shows where a running gateway is and how its regions are",
			Long: `Shows the version and place of a running gateway, where its projects come from,
how many WebSockets are open, and each region with its state.`,
			CobraFunc: func(cmd *cobra.Command) {
				cmd.Example = examples("status", "", " --address localhost:2020", " -o json")
				ask(cmd, now, func() (string, answer) { return "/edge_functions/status", new(statusAnswer) })
			},
		},
		{
			Name:  "regions",
			Usage: flags,
			Short: "Shows the regions of a running gateway with their backends",
			Long: `Shows each region of a running gateway with its state and since when, the round
trip that is expected to it, and the state of each of its backends.`,
			CobraFunc: func(cmd *cobra.Command) {
				cmd.Example = examples("regions", "", " --address unix//run/edgegate.sock", " -o json")
				ask(cmd, now, func() (string, answer) { return "/edge_functions/regions", new(regionsAnswer) })
			},
		},
		{
			Name:  "explain",
			Usage: "[--region R] " + flags,
			Short: "Shows in which region a request would run, and why",
			Long: `Shows in which region of a running gateway a request would run now, and why, by
the same code that serves requests. No request is sent to a function.

--region is what the request's x-region header would say: a region, a list in
order of preference, or any.`,
			CobraFunc: func(cmd *cobra.Command) {
				cmd.Example = examples("explain", "", " --region us-east-1", ` --region "eu-west-1, any" -o json`)
				region := cmd.Flags().String("region", "", "the region that the request names; none by default")
				ask(cmd, now, func() (string, answer) {
					return "/edge_functions/explain?" + url.Values{"region": {*region}}.Encode(), &explainAnswer{asked: *region}
				})
			},
		},
	}
}

func examples(name string, variants ...string) string {
	lines := make([]string, len(variants))
	for i, v := range variants {
		lines[i] = "  edgegate " + name + v
	}
	return strings.Join(lines, "\n")
}

// answer is what the gateway says to a question.
type answer interface {
	// complete is whether the JSON was really an answer to the question.
	complete() bool
	// table writes the answer for people.
	table(w io.Writer, now time.Time)
}

// ask makes cmd fetch the URI that question returns and print it, as a table
// by way of the answer that question returns or as the JSON it is.
func ask(cmd *cobra.Command, now func() time.Time, question func() (string, answer)) {
	cmd.DisableFlagsInUseLine = true // they are all in Usage
	address := cmd.Flags().String("address", caddy.DefaultAdminListen, "admin endpoint of the gateway: host:port, http://host:port or unix//path")
	output := cmd.Flags().StringP("output", "o", "table", "table, or json: what the admin API says")
	Run(cmd, func(ctx context.Context) error {
		if err := OneOf("output", *output, "table", "json"); err != nil {
			return err
		}
		gateway, err := newAdmin(*address)
		if err != nil {
			return err
		}
		uri, into := question()
		body, err := gateway.get(ctx, uri)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, into); err != nil || !into.complete() {
			return gateway.stranger("another JSON than expected, or none")
		}
		var text bytes.Buffer
		if *output == "json" {
			// Indented bytes, not the decoded value: members that a newer gateway has must not get lost.
			_ = json.Indent(&text, bytes.TrimSpace(body), "", "  ")
			text.WriteByte('\n')
		} else {
			into.table(&text, now())
		}
		if _, err := cmd.OutOrStdout().Write(text.Bytes()); err != nil {
			return &FailureError{Msg: fmt.Sprintf("writing the answer: %v", err), Hint: "standard output was closed or is full"}
		}
		return nil
	})
}
