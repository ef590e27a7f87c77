// Package cli holds the commands that ask a running gateway over its admin
// API (status, regions, explain, logs, top, drain, undrain, usage, quota, projects list,
// token inspect, audit) and those that work without one (projects check and import,
// simulate). It decides how answers
// look in a terminal and how errors and exit codes do. What the answers say is
// decided by the gateway, and with -o json they pass as they came; what a
// projects file may say is decided by package projects. [Run] gives other
// commands of the binary the same errors.
package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

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
	return []caddycmd.Command{
		statusCommand(now),
		{
			Name:  "regions",
			Usage: flags,
			Short: "Shows the regions of a running gateway with their backends",
			Long: `Shows each region of a running gateway with its state and since when, the round
trip that is expected to it, and the state of each of its backends.`,
			CobraFunc: func(cmd *cobra.Command) {
				cmd.Example = examples("regions", "", " --address unix//run/edgegate.sock", " -o json")
				ask(cmd, now, func() (question, answer, error) {
					return question{uri: "/edge_functions/regions"}, new(regionsAnswer), nil
				})
			},
		},
		healthCommand(now),
		eventsCommand(now),
		explainCommand(now),
		logsCommand(),
		topCommand(),
		drainCommand(now),
		undrainCommand(now),
		usageCommand(now),
		quotaCommand(now),
		projectsCommand(now),
		tokenCommand(now),
		auditCommand(now),
		simulateCommand(),
	}
}

func examples(name string, variants ...string) string {
	lines := make([]string, len(variants))
	for i, v := range variants {
		lines[i] = "  edgegate " + name + v
	}
	return strings.Join(lines, "\n")
}

// flags are those of every command that asks a gateway.
const flags = "[--address ADDR] [-o table|json]"

// answer is the gateway's answer to a question.
type answer interface {
	// complete reports whether the JSON is an answer to the question.
	complete() bool
	// table writes the answer for people.
	table(w io.Writer, now time.Time)
}

// verdict is an answer that can be a no, which the exit code tells.
type verdict interface {
	// yes reports whether the command succeeds.
	yes() bool
}

// ask makes cmd, which takes args, put a question to the gateway and print
// what it says: as a table by way of the answer that prepare returns, or as
// the JSON it is.
func ask(cmd *cobra.Command, now func() time.Time, prepare func() (question, answer, error), args ...Arg) {
	cmd.DisableFlagsInUseLine = true // they are all in Usage
	address := new(string)
	addressFlag(cmd.Flags(), address)
	output := outputFlag(cmd, "json: what the admin API says")
	Run(cmd, func(ctx context.Context) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		gateway, err := newAdmin(*address)
		if err != nil {
			return err
		}
		asked, into, err := prepare()
		if err != nil {
			return err
		}
		if asked.stream != nil {
			return asked.stream(ctx, gateway, *output)
		}
		body, err := gateway.ask(ctx, asked)
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
		if err := show(cmd, text.Bytes()); err != nil {
			return err
		}
		if asked.then != nil {
			return asked.then(ctx, gateway)
		}
		if v, ok := into.(verdict); ok && !v.yes() {
			return errVerdict
		}
		if p, ok := into.(interface{ partial() string }); ok && p.partial() != "" {
			return &partialError{p.partial(), "the table is what this gateway knows; ask again once its store answers"}
		}
		return nil
	}, args...)
}

// outputFlag adds -o; json describes the printed JSON.
func outputFlag(cmd *cobra.Command, json string) *string {
	return cmd.Flags().StringP("output", "o", "table", "table, or "+json)
}

func checkOutput(output string) error { return OneOf("output", output, "table", "json") }

// show writes an answer to standard output.
func show(cmd *cobra.Command, text []byte) error {
	if _, err := cmd.OutOrStdout().Write(text); err != nil {
		return &FailureError{Msg: fmt.Sprintf("writing the answer: %v", err), Hint: "standard output was closed or is full"}
	}
	return nil
}

// showJSON writes value to standard output as -o json does.
func showJSON(cmd *cobra.Command, value any) error {
	text, err := indented(value)
	if err != nil {
		return err
	}
	return show(cmd, text)
}

// indented is value as JSON for people too: `<` and `&` as they are.
func indented(value any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return text.Bytes(), nil
}
