package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// reconcileTimeout is for a ledger that takes long to read.
const reconcileTimeout = time.Hour

// reconcileOptions are the flags of usage reconcile.
type reconcileOptions struct {
	address, month, org, against, output string
	deep                                 bool
}

func usageReconcile() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile [--period MONTH] [--org ID] [--deep] [--against file:PATH|stripe] " + flags,
		Short: "Compares what was recorded with what is billed",
		Long: `Reads the whole ledger of a gateway again and compares, for the current billing
periods or those that started in a month: the records with each other (R0), with
the sums, also those in Redis (R1), the sums of periods with those of hours (R2),
what all gateways used with the lines of bills (R3), and those with what
exporters were told, with what Stripe says it has, and with a file that usage
export wrote, CSV, JSON lines or Parquet (R4); and whatever the period is, all
requests that this gateway received since it was started with what became of them
(R5). --deep says where the first difference is, and of R5 what became of how
many.

The exit code is 0 if there is no difference, 3 if all there are is lines that
were provisional, or have a newer revision, since the file was written, or that
an exporter is still to be told, and 1 otherwise.`,
		Example: examples("usage reconcile", "", " --period 2026-11 --deep", " --period 2026-11 --against file:november.parquet"),
	}
	cmd.DisableFlagsInUseLine = true // they are all in Use
	var o reconcileOptions
	f := cmd.Flags()
	addressFlag(f, &o.address)
	f.StringVar(&o.month, "period", "", "month in which the periods started, such as 2026-11")
	f.StringVar(&o.org, "org", "", "one organization, by its id")
	f.StringVar(&o.against, "against", "", "file:PATH, a file of usage export; or stripe, what Stripe says it has")
	f.BoolVar(&o.deep, "deep", false, "say where the first difference is")
	output := outputFlag(cmd, "json: the levels with their differences")
	Run(cmd, func(ctx context.Context) error {
		o.output = *output
		return reconcile(ctx, cmd, o)
	})
	return cmd
}

type reconcileAnswer struct{ billing.ReconcileAnswer }

func reconcile(ctx context.Context, cmd *cobra.Command, o reconcileOptions) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if err := checkMonth(o.month); err != nil {
		return err
	}
	path, format, err := fileOf(o.against)
	if err != nil {
		return err
	}
	against := o.against
	if path != "" {
		against = ""
	}
	gateway, err := newAdmin(o.address)
	if err != nil {
		return err
	}
	body, err := gateway.ask(ctx, question{
		uri: withQuery("/edge_functions/usage/reconcile", map[string]string{"period": o.month, "organization": o.org, "against": against}), timeout: reconcileTimeout,
	})
	if err != nil {
		return err
	}
	var answer reconcileAnswer
	if err := json.Unmarshal(body, &answer); err != nil || answer.Levels == nil {
		return gateway.stranger("another JSON than expected, or none")
	}
	if path != "" {
		level, err := gateway.compareFile(o, path, format)
		if err != nil {
			return err
		}
		answer.Levels = append(answer.Levels, level)
		slices.SortStableFunc(answer.Levels, func(a, b billing.ReconcileLevel) int { return strings.Compare(a.Level, b.Level) })
	}
	return answer.show(cmd, o)
}

// againstStripe asks Stripe what it has.
const againstStripe = "stripe"

// fileOf reads what --against names.
func fileOf(against string) (path string, format usage.Format, err error) {
	if against == "" || against == againstStripe {
		return "", "", nil
	}
	path, ok := strings.CutPrefix(against, "file:")
	format = usage.Format(strings.TrimPrefix(filepath.Ext(path), "."))
	if !ok || format != usage.CSV && format != usage.JSONL && format != usage.Parquet {
		return "", "", &UsageError{
			Msg:  fmt.Sprintf("--against %q: nothing to compare with", against),
			Hint: "name a file that usage export wrote, with its format at the end: file:november.csv, .jsonl or .parquet; or stripe",
		}
	}
	return path, format, nil
}

// compareFile compares the lines of now with those of a file.
func (a admin) compareFile(o reconcileOptions, path string, format usage.Format) (billing.ReconcileLevel, error) {
	level := billing.ReconcileLevel{Level: "R4", What: "lines of bills and " + path, Explained: true}
	type line struct {
		quantity, revision int64
		state              usage.State
		start              time.Time
	}
	written, last := make(map[string]line), time.Time{}
	err := usage.Read(path, format, func(l *usage.Line) error {
		if !l.Intact() {
			return fmt.Errorf("the line %s was changed: its sha256 is another", l.LineID)
		}
		written[l.LineID] = line{l.Quantity, l.Revision, l.State, l.WindowStart}
		level.Found += l.Quantity
		if l.WindowStart.After(last) {
			last = l.WindowStart
		}
		return nil
	})
	if err != nil {
		return level, &FailureError{Msg: fmt.Sprintf("--against: %v", err), Hint: "write it anew with edgegate usage export"}
	}
	differ := func(id string, now, then line) {
		if now.quantity == then.quantity {
			return
		}
		if level.First == "" {
			level.First = fmt.Sprintf("line %s: %d, found %d", id, now.quantity, then.quantity)
		}
		level.Difference += max(now.quantity-then.quantity, then.quantity-now.quantity)
		switch {
		case then == line{}: // it may not have been there then
			level.Explained = level.Explained && !now.start.Before(last)
		case then.state != usage.Provisional && now.revision <= then.revision:
			level.Explained = false
		}
	}
	var now bytes.Buffer
	if _, err := a.download(exportOptions{format: string(usage.JSONL), month: o.month, org: o.org}, &now); err != nil {
		return level, err
	}
	decoder := json.NewDecoder(&now)
	for {
		var l usage.Line
		if err := decoder.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return level, a.stranger("another JSON than expected")
		}
		level.Expected += l.Quantity
		differ(l.LineID, line{l.Quantity, l.Revision, l.State, l.WindowStart}, written[l.LineID])
		delete(written, l.LineID)
	}
	for id, then := range written {
		level.Explained = false
		differ(id, line{}, then)
	}
	level.Explained = level.Explained && level.Difference != 0
	return level, nil
}

// show prints the levels. The error is for the exit code.
func (a *reconcileAnswer) show(cmd *cobra.Command, o reconcileOptions) error {
	a.OK = true
	explained := true
	for _, l := range a.Levels {
		a.OK = a.OK && l.Difference == 0
		explained = explained && (l.Difference == 0 || l.Explained)
	}
	var err error
	if o.output == "json" {
		err = showJSON(cmd, a)
	} else {
		var text bytes.Buffer
		a.table(&text, o.deep)
		err = show(cmd, text.Bytes())
	}
	switch {
	case err != nil:
		return err
	case a.OK:
		return nil
	case explained:
		return errExplained
	}
	return errVerdict
}

func (a *reconcileAnswer) table(w io.Writer, deep bool) {
	rows := append(make([][]string, 0, 1+len(a.Levels)), []string{"LEVEL", "WHAT", "EXPECTED", "FOUND", "DIFFERENCE"})
	for _, l := range a.Levels {
		difference := count(l.Difference)
		if l.Explained {
			difference += " (explained)"
		}
		rows = append(rows, []string{printable(l.Level), printable(l.What), count(l.Expected), count(l.Found), difference})
	}
	write(w, rows)
	for _, l := range a.Levels {
		if deep && l.First != "" {
			fmt.Fprintf(w, "%s: %s\n", printable(l.Level), printable(l.First))
		}
		for _, part := range l.Parts {
			if deep {
				fmt.Fprintf(w, "%s: %s %s\n", printable(l.Level), count(part.Number), printable(part.What))
			}
		}
	}
}
