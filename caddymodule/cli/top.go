package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/invocations"
)

// topOptions are the flags of top.
type topOptions struct {
	address, by, each, project, function, region, since, until, output string
	number                                                             int
}

func topCommand() caddycmd.Command {
	return caddycmd.Command{
		Name:  "top",
		Usage: "[--by calls|errors|p95|bytes] [--each function|project|region] [--since 1h] [--until TIME] [--project REF] [--function SLUG] [--region NAME] [-n N] [--address ADDR] [-o table|json|csv]",
		Short: "Ranks functions or projects by calls, errors, durations or bytes",
		Long: `Adds up the invocations of a gateway from its ledger with the archives, and ranks
functions, projects, or functions by region. Sums are exact, percentiles are at
most 2 % off. Errors are invocations with a status of 500 or more.

Other gateways have their own: ask them with --address. The exit code is 3 if some
files of the ledger cannot be read.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("top", "", " --by errors --since 1h", " --by p95 --each region --project shop", " --each project --since 7d -o csv")
			cmd.DisableFlagsInUseLine = true // they are all in Usage
			var o topOptions
			f := cmd.Flags()
			addressFlag(f, &o.address)
			f.StringVar(&o.by, "by", string(invocations.ByCalls), "calls, errors, p95, or bytes")
			f.StringVar(&o.each, "each", string(invocations.EachFunction), "what has a row: function, project, or region for functions by region")
			f.StringVar(&o.project, "project", "", "of one project")
			f.StringVar(&o.function, "function", "", "of one function, by its slug")
			f.StringVar(&o.region, "region", "", "of one region")
			f.StringVar(&o.since, "since", "", "from a time on, such as 1h or 7d ago, or 2026-11-20T12:00:00Z; without it from the first record on")
			f.StringVar(&o.until, "until", "", "before a time, as in --since")
			f.IntVarP(&o.number, "number", "n", 20, "the most rows")
			f.StringVarP(&o.output, "output", "o", "table", "table, json, or csv")
			Run(cmd, func(ctx context.Context) error { return top(ctx, cmd, &o) })
		},
	}
}

func (o *topOptions) check() error {
	if err := OneOf("output", o.output, "table", "json", "csv"); err != nil {
		return err
	}
	if err := OneOf("by", o.by, invocations.Orders()...); err != nil {
		return err
	}
	if err := OneOf("each", o.each, invocations.Rows()...); err != nil {
		return err
	}
	if o.number < 1 {
		return &UsageError{Msg: fmt.Sprintf("-n %d: must be at least 1", o.number), Hint: "write it as in -n 20"}
	}
	return nil
}

func (o *topOptions) question() question {
	return question{
		uri: withQuery("/edge_functions/top", map[string]string{
			"by":       o.by,
			"each":     o.each,
			"project":  o.project,
			"function": o.function,
			"region":   o.region,
			"since":    o.since,
			"until":    o.until,
			"limit":    strconv.Itoa(o.number),
		}),
		hint:    "`edgegate top --help` has examples",
		hints:   namesHints,
		timeout: reconcileTimeout,
	}
}

func top(ctx context.Context, cmd *cobra.Command, o *topOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	gateway, err := newAdmin(o.address)
	if err != nil {
		return err
	}
	body, err := gateway.ask(ctx, o.question())
	if err != nil {
		return err
	}
	var answer invocations.TopAnswer
	if err := json.Unmarshal(body, &answer); err != nil || answer.Rows == nil {
		return gateway.stranger("another JSON than expected, or none")
	}
	var text bytes.Buffer
	switch o.output {
	case "json":
		_ = json.Indent(&text, plainJSON(bytes.TrimSpace(body)), "", "  ")
		text.WriteByte('\n')
	case "csv":
		lines, err := newCSV[invocations.Row](&text)
		if err == nil {
			err = lines.write(answer.Rows)
		}
		if err != nil {
			return notWritten(err)
		}
	default:
		writeTop(&text, &answer)
	}
	if err := show(cmd, text.Bytes()); err != nil {
		return err
	}
	tellRange(cmd.ErrOrStderr(), answer.Since, answer.RecordsFrom, nil)
	return unreadable(answer.Findings)
}

func writeTop(w io.Writer, a *invocations.TopAnswer) {
	head := []string{"CALLS", "ERRORS", "SHARE", "CUT", "P50", "P95", "P99", "IN", "OUT"}
	names := topNames(a.Rows)
	rows := make([][]string, 0, 2+len(a.Rows))
	rows = append(rows, append(append([]string{}, names...), head...))
	for i := range a.Rows {
		rows = append(rows, topCells(&a.Rows[i], len(names)))
	}
	all := topCells(&a.All, len(names))
	all[0] = fmt.Sprintf("all %d", a.Total)
	write(w, append(rows, all))
}

// topNames returns the heads of the columns with names: those that some row has.
func topNames(rows []invocations.Row) []string {
	names := []string{"PROJECT"}
	for i := range rows {
		switch {
		case rows[i].Region != nil:
			return []string{"PROJECT", "FUNCTION", "REGION"}
		case rows[i].Function != nil:
			names = []string{"PROJECT", "FUNCTION"}
		}
	}
	return names
}

func topCells(r *invocations.Row, names int) []string {
	cells := []string{cell(r.Project), cell(r.Function), cell(r.Region)}[:names:names]
	share := none
	if r.ErrorShare != nil {
		share = fmt.Sprintf("%.1f %%", *r.ErrorShare*100)
	}
	return append(
		cells, count(int64(r.Invocations)), count(int64(r.Errors)), share, count(int64(r.Cut)),
		number(r.P50MS, "%.1f ms"), number(r.P95MS, "%.1f ms"), number(r.P99MS, "%.1f ms"), size(r.BytesIn), size(r.BytesOut),
	)
}

// size is a number of bytes in the largest unit that leaves a whole number before the point.
func size(bytes uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
