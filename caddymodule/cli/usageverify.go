package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// inUseHint is for a directory that a gateway has open.
const inUseHint = "a gateway uses this directory: stop it, or ask it with `edgegate usage verify`"

// storeHint says which directory is that of the ledger.
const storeHint = "name the directory of the ledger: that of the option store"

func usageVerify(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [DIRECTORY] " + flags,
		Short: "Says which files of a ledger are damaged",
		Long: `Reads all files of the ledger: records and archives with their checksums and the
chain of hashes, names, sums, and the files of bills and quotas; adds up all
records, and compares them with the sums in use, and these with the lines of
bills. A running gateway does this for its own ledger, while it serves calls. With DIRECTORY, that of a gateway that is
stopped, nothing is asked, and nothing is changed.

Each finding is a file, a byte (-1: the whole file), what is wrong with it, and
what to do. The exit code is 1 if there is one.`,
		Example: examples("usage verify", "", " --address gateway-2:2019 -o json", " /var/lib/edgegate"),
	}
	cmd.DisableFlagsInUseLine = true // they are all in Usage
	var dir, address string
	addressFlag(cmd.Flags(), &address)
	output := outputFlag(cmd, "json")
	Run(cmd, func(ctx context.Context) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if dir != "" {
			answer, err := billing.VerifyDirectory(dir)
			if err != nil {
				return directoryFailure(dir, err)
			}
			return showFindings(cmd, *output, &verifyAnswer{answer}, now)
		}
		gateway, err := newAdmin(address)
		if err != nil {
			return err
		}
		body, err := gateway.ask(ctx, question{uri: "/edge_functions/usage/verify", timeout: reconcileTimeout})
		if err != nil {
			return err
		}
		var answer verifyAnswer
		if err := json.Unmarshal(body, &answer); err != nil || answer.Findings == nil {
			return gateway.stranger("another JSON than expected, or none")
		}
		return showFindings(cmd, *output, &answer, now)
	}, Arg{Name: "DIRECTORY", Value: &dir, Optional: true})
	return cmd
}

func usageRecover(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover DIRECTORY [-o table|json]",
		Short: "Mends damaged files of the ledger of a gateway that is stopped",
		Long: `Makes again what can be made again: sums from the records, names from the sums'
file, the manifest from the archives. Values of bills and quotas that are whole
are copied. Each damaged file is kept as NAME.damaged-TIME beside the new one.
For what cannot be made again it says which records, names or values are lost.
Copy the directory first. A second call has nothing to do.

The exit code is 0 if nothing was damaged or all is mended, also where something
is lost, and 1 if something is left that only the remedy beside it mends.`,
		Example: examples("usage recover", " /var/lib/edgegate", " /var/lib/edgegate -o json"),
	}
	cmd.DisableFlagsInUseLine = true // they are all in Usage
	var dir string
	output := outputFlag(cmd, "json")
	Run(cmd, func(context.Context) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		answer, err := billing.RecoverDirectory(dir)
		if err != nil {
			return directoryFailure(dir, err)
		}
		return showFindings(cmd, *output, &verifyAnswer{answer}, now)
	}, Arg{Name: "DIRECTORY", Value: &dir})
	return cmd
}

// directoryFailure says why the directory of a ledger cannot be read.
func directoryFailure(dir string, err error) error {
	hint := "the error says which file; nothing after it was looked at"
	var no *metering.NoLedgerError
	switch {
	case errors.As(err, &no) && len(no.Right) > 0:
		hint = "name the directory of the ledger: " + strings.Join(no.Right, " or ")
	case errors.As(err, &no):
		hint = storeHint
	case errors.Is(err, metering.ErrLocked):
		hint = inUseHint
	case errors.Is(err, fs.ErrNotExist):
		hint = storeHint
	}
	msg := err.Error()
	if !strings.Contains(msg, dir) {
		msg = dir + ": " + msg
	}
	return &FailureError{Msg: msg, Hint: hint}
}

func showFindings(cmd *cobra.Command, output string, a *verifyAnswer, now func() time.Time) (err error) {
	if output == "json" {
		err = showJSON(cmd, a)
	} else {
		a.table(cmd.OutOrStdout(), now())
	}
	if err == nil && !a.OK {
		return errVerdict
	}
	return err
}

type verifyAnswer struct{ billing.VerifyAnswer }

func (a *verifyAnswer) table(w io.Writer, _ time.Time) {
	if len(a.Findings) == 0 {
		fmt.Fprintln(w, "Nothing is damaged.")
		return
	}
	for i := range a.Findings {
		f := &a.Findings[i]
		fmt.Fprintf(w, "%s: byte %d: %s; %s\n", printable(f.File), f.Offset, printable(f.What), printable(f.Remedy))
		if f.Lost != "" {
			fmt.Fprintf(w, "  lost: %s\n", printable(f.Lost))
		}
		if f.Kept != "" {
			fmt.Fprintf(w, "  kept: %s\n", printable(f.Kept))
		}
	}
}
