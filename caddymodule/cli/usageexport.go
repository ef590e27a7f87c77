package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/edgegate/edgegate/caddymodule/atomicfile"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// exportOptions are the flags of usage export.
type exportOptions struct {
	address, format, month, org, out, output, focusVersion, columns string
}

func usageExport() *cobra.Command {
	formats, versions := strings.Join(usage.Formats(), "|"), strings.Join(usage.FOCUSVersions(), "|")
	cmd := &cobra.Command{
		Use:   "export [--format " + formats + "] [--period MONTH] [--org ID] [--out FILE] [--focus-version " + versions + "] [--columns NAMES] [--address ADDR] [-o table|json]",
		Short: "Writes what is billed, line by line",
		Long: `Writes a line for each hour, project, function and region of the current billing
period of each organization, or of those that started in a month, with what it
costs: as CSV, as JSON lines, as Parquet, or as CSV with the columns of FOCUS.
The columns are the same in all but FOCUS, which has those of a version, or some
of them. With --out the file is there when it is whole, and not before, and what
its lines add up to is said, with -o json as JSON.`,
		Example: examples("usage export", " --period 2026-11 > november.csv", " --format parquet --out november.parquet", " --format focus --org acme", " --format focus --focus-version 1.2 --columns InvoiceId,BilledCost"),
	}
	cmd.DisableFlagsInUseLine = true // they are all in Use
	var o exportOptions
	f := cmd.Flags()
	addressFlag(f, &o.address)
	f.StringVar(&o.format, "format", string(usage.CSV), formats)
	f.StringVar(&o.month, "period", "", "month in which the periods started, such as 2026-11")
	f.StringVar(&o.org, "org", "", "one organization, by its id")
	f.StringVar(&o.out, "out", "", "write to this file")
	f.StringVar(&o.focusVersion, "focus-version", usage.FOCUS14, versions)
	f.StringVar(&o.columns, "columns", "", "columns of FOCUS, with commas between; all of the version without it")
	output := outputFlag(cmd, "json: with --out, what the lines add up to")
	Run(cmd, func(context.Context) error {
		o.output = *output
		return export(cmd, o)
	})
	return cmd
}

func (o *exportOptions) focus() (f usage.FOCUSOptions) {
	f.Version = o.focusVersion
	if o.columns != "" {
		f.Columns = strings.Split(o.columns, ",")
	}
	return f
}

func export(cmd *cobra.Command, o exportOptions) error {
	if err := OneOf("format", o.format, usage.Formats()...); err != nil {
		return err
	}
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if o.output == "json" && o.out == "" {
		return &UsageError{Msg: "-o json is about a file: standard output has the lines", Hint: "name it with --out, or write --format jsonl for lines of JSON"}
	}
	if err := OneOf("focus-version", o.focusVersion, usage.FOCUSVersions()...); err != nil {
		return err
	}
	if o.format != string(usage.FOCUS) && (o.columns != "" || cmd.Flags().Changed("focus-version")) {
		return &UsageError{Msg: "--focus-version and --columns are for FOCUS", Hint: "add --format focus"}
	}
	if err := o.focus().Validate(); err != nil {
		return &UsageError{Msg: "--columns: " + err.Error(), Hint: "names are as in the first line of the file, with commas between"}
	}
	if err := checkMonth(o.month); err != nil {
		return err
	}
	api, err := newAdmin(o.address)
	if err != nil {
		return err
	}
	if o.out == "" {
		if file, ok := cmd.OutOrStdout().(*os.File); ok && o.format == string(usage.Parquet) && term.IsTerminal(int(file.Fd())) {
			return &UsageError{Msg: "Parquet is not for terminals", Hint: "name a file with --out"}
		}
		_, err := api.download(o, cmd.OutOrStdout())
		return err
	}
	totals, err := api.downloadTo(o)
	switch {
	case err != nil:
	case o.output == "json":
		return showJSON(cmd, exportResult{o.out, totals})
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s lines, %s invocations, %s\n",
			o.out, count(totals.Rows), count(totals.Quantity), amountOf(totals))
	}
	return err
}

// exportResult describes the content of an exported file.
type exportResult struct {
	File string `json:"file"`
	usage.Totals
}

// amountOf returns the amount of an export.
func amountOf(t usage.Totals) string {
	if t.Currency == "" && t.AmountMinor != 0 {
		return "amounts in several currencies"
	}
	return money(t.AmountMinor, cmp.Or(t.Currency, usage.DefaultCurrency))
}

func checkMonth(month string) error {
	if month == "" {
		return nil
	}
	if _, err := time.Parse("2006-01", month); err != nil {
		return &UsageError{Msg: fmt.Sprintf("--period %q is no month", month), Hint: "write it as in 2026-11"}
	}
	return nil
}

// downloadTo writes an export to a file, which appears only when it is complete.
func (a admin) downloadTo(o exportOptions) (totals usage.Totals, err error) {
	file, err := atomicfile.Create(o.out, 0o600)
	if err != nil {
		return totals, &FailureError{Msg: fmt.Sprintf("--out %s: %v", o.out, err), Hint: "name a file in a directory that can be written"}
	}
	defer file.Discard()
	totals, err = a.download(o, file)
	if err != nil {
		return totals, err
	}
	if err := file.Commit(); err != nil {
		return totals, &FailureError{Msg: fmt.Sprintf("--out %s: %v", o.out, err), Hint: "the disk may be full"}
	}
	return totals, nil
}

// download writes an export, as it comes, and returns what it adds up to.
func (a admin) download(o exportOptions, out io.Writer) (totals usage.Totals, err error) {
	ask := map[string]string{"format": o.format, "period": o.month, "organization": o.org}
	if o.format == string(usage.FOCUS) {
		ask["focus_version"], ask["columns"] = o.focusVersion, o.columns
	}
	q := question{uri: withQuery("/edge_functions/usage/export", ask), hints: organizationHints}
	resp, err := caddycmd.AdminAPIRequest(a.address, http.MethodGet, q.uri, nil, nil)
	if err != nil {
		return totals, a.failure(err, q)
	}
	defer resp.Body.Close()
	_, err = io.Copy(out, resp.Body)
	if err == nil {
		err = json.Unmarshal([]byte(resp.Trailer.Get(gateway.TotalsTrailer)), &totals)
	}
	if err != nil {
		return totals, &FailureError{Msg: fmt.Sprintf("the export ended early: %v", err), Hint: "the gateway's log says why; what was written is not whole"}
	}
	return totals, nil
}
