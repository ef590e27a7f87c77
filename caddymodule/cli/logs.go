package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	address, project, function, region, status, since, until, slow, output string
	number                                                                 int
	follow                                                                 bool
}

// namesHints are for answers about names that are not there.
var namesHints = map[string]string{
	"project":  "`edgegate projects list` lists the projects",
	"function": "`edgegate usage show` lists the functions that were called",
	"region":   "`edgegate regions` lists the regions",
}

func logsCommand() caddycmd.Command {
	return caddycmd.Command{
		Name:  "logs",
		Usage: "[--project REF] [--function SLUG] [--region NAME] [--status 5xx] [--since 1h] [--until TIME] [--slow 2s] [-n N] [-f] [--address ADDR] [-o table|json|csv]",
		Short: "Lists single invocations, and requests that were refused",
		Long: `Lists the latest invocations of a gateway from its ledger with the archives, and
the latest requests that it refused, which are kept in memory. The newest come
last. With -f it goes on, and shows each that ends. Nothing is sampled. What the
ledger does not record is null, and so is how an invocation ended that still runs
or whose gateway stopped first.

Other gateways have their own: ask them with --address. -o json writes a line for
each. The exit code is 3 if some files of the ledger cannot be read.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("logs", "", " --status 5xx --since 1h", " --function hello --slow 2s -f", " --since 7d -n 10000 -o csv")
			cmd.DisableFlagsInUseLine = true // they are all in Usage
			var o logsOptions
			f := cmd.Flags()
			addressFlag(f, &o.address)
			f.StringVar(&o.project, "project", "", "of one project")
			f.StringVar(&o.function, "function", "", "of one function, by its slug")
			f.StringVar(&o.region, "region", "", "of one region")
			f.StringVar(&o.status, "status", "", "with a status such as 502, or a class such as 5xx")
			f.StringVar(&o.since, "since", "", "from a time on, such as 1h or 7d ago, or 2026-11-20T12:00:00Z")
			f.StringVar(&o.until, "until", "", "before a time, as in --since")
			f.StringVar(&o.slow, "slow", "", "that took at least as long, such as 2s")
			f.IntVarP(&o.number, "number", "n", 50, "the most that are listed, the latest ones")
			f.BoolVarP(&o.follow, "follow", "f", false, "go on with each that ends")
			output := cmd.Flags().StringP("output", "o", "table", "table, json, or csv")
			Run(cmd, func(ctx context.Context) error {
				o.output = *output
				return logs(ctx, cmd, &o)
			})
		},
	}
}

// question returns what the gateway is asked.
func (o *logsOptions) question() question {
	parameters := map[string]string{
		"project":  o.project,
		"function": o.function,
		"region":   o.region,
		"status":   o.status,
		"since":    o.since,
		"until":    o.until,
		"slow":     o.slow,
		"limit":    strconv.Itoa(o.number),
	}
	if o.follow {
		parameters["follow"] = "true"
	}
	return question{
		uri:     withQuery("/edge_functions/invocations", parameters),
		hint:    "`edgegate logs --help` has examples",
		hints:   namesHints,
		timeout: reconcileTimeout,
	}
}

func (o *logsOptions) check() error {
	if err := OneOf("output", o.output, "table", "json", "csv"); err != nil {
		return err
	}
	if o.status != "" {
		if _, err := invocations.ParseStatuses(o.status); err != nil {
			return &UsageError{Msg: "--" + err.Error(), Hint: "write it as in --status 5xx"}
		}
	}
	if o.number < 1 {
		return &UsageError{Msg: fmt.Sprintf("-n %d: must be at least 1", o.number), Hint: "write it as in -n 50"}
	}
	return nil
}

func logs(ctx context.Context, cmd *cobra.Command, o *logsOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	gateway, err := newAdmin(o.address)
	if err != nil {
		return err
	}
	writer, err := newInvocationWriter(o.output, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	if o.follow {
		return gateway.follow(cmd, o.question(), writer)
	}
	body, err := gateway.ask(ctx, o.question())
	if err != nil {
		return err
	}
	var answer invocations.Answer
	if err := json.Unmarshal(body, &answer); err != nil || answer.Invocations == nil {
		return gateway.stranger("another JSON than expected, or none")
	}
	slices.Reverse(answer.Invocations)
	if err := writer.write(answer.Invocations); err != nil {
		return notWritten(err)
	}
	tellRange(cmd.ErrOrStderr(), answer.Since, answer.RecordsFrom, answer.RefusalsFrom)
	return unreadable(answer.Findings)
}

func notWritten(err error) error {
	return &FailureError{Msg: fmt.Sprintf("writing the answer: %v", err), Hint: "standard output was closed or is full"}
}

// tellRange says where an answer does not go back as far as was asked.
func tellRange(w io.Writer, since, records, refusals *time.Time) {
	before := func(t *time.Time) bool { return t != nil && (since == nil || since.Before(*t)) }
	if since != nil && before(records) {
		fmt.Fprintf(w, "Records of this gateway begin at %s.\n", records.UTC().Format(time.DateTime))
	}
	if since != nil && before(refusals) {
		fmt.Fprintf(w, "Refused requests are known since %s.\n", refusals.UTC().Format(time.DateTime))
	}
}

// unreadable returns an error that names the damaged files of the ledger, nil if there
// are none.
func unreadable(found []metering.Finding) error {
	if len(found) == 0 {
		return nil
	}
	f := &found[0]
	why := fmt.Sprintf("%s: %s", f.File, f.What)
	if n := len(found) - 1; n > 0 {
		why += fmt.Sprintf(" (and %s)", plural(n, "other finding"))
	}
	return &partialError{why, cmp.Or(f.Remedy, "`edgegate usage verify` says what is damaged")}
}

// follow writes invocations as the gateway tells of them, until it ends or the user stops
// the command.
func (a admin) follow(cmd *cobra.Command, q question, writer invocationWriter) error {
	resp, err := caddycmd.AdminAPIRequest(a.address, http.MethodGet, q.uri, nil, nil)
	if err != nil {
		return a.failure(err, q)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var line struct {
			invocations.Invocation
			Finding *metering.Finding `json:"finding"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return a.stranger("another JSON than expected")
		}
		if line.Finding != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "cannot be read: %s: %s\n", printable(line.Finding.File), printable(line.Finding.What))
			continue
		}
		if err := writer.write([]invocations.Invocation{line.Invocation}); err != nil {
			return notWritten(err)
		}
	}
	return &FailureError{Msg: "the gateway ended the answer: it stopped, or the connection was lost", Hint: "ask again once `edgegate status` answers"}
}
