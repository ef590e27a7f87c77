package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

func usageProof(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proof LINE_ID " + flags,
		Short: "Shows the records behind a line of a bill",
		Long: `Reads the ledger of a gateway again, archives too, and shows which records a line
of usage export is made of: how many of each kind, a hash of them, the files that
they are in, whether those follow each other as the manifest says, and who
adjusted what. What other gateways counted is in their ledgers: ask them for the
same line.

The exit code is 1 if the records do not make up what the line has.`,
		Example: examples("usage proof", " 9f86d081884c7d659a2feaa0c55ad015", " 9f86d081884c7d659a2feaa0c55ad015 --address gateway-2:2019 -o json"),
	}
	var id string
	ask(cmd, now, func() (question, answer, error) {
		return question{
			uri: withQuery("/edge_functions/usage/proof", map[string]string{"line": id}), timeout: reconcileTimeout,
			hint: "`edgegate usage export` lists the lines, with their line_id",
		}, new(proofAnswer), nil
	}, Arg{Name: "LINE_ID", Value: &id})
	return cmd
}

type proofAnswer struct{ billing.ProofAnswer }

func (a *proofAnswer) complete() bool { return a.Sources != nil && a.Line.LineID != "" }

// yes implements verdict.
func (a *proofAnswer) yes() bool { return a.OK }

func (a *proofAnswer) table(w io.Writer, _ time.Time) {
	l, intact := &a.Line, "intact"
	if !a.Intact {
		intact = "NOT that of its columns"
	}
	write(w, [][]string{
		{"Line", printable(l.LineID)},
		{"Account", fmt.Sprintf("%s, %s, plan %s", printable(cmp.Or(l.AccountID, none)), printable(l.Period), printable(cmp.Or(l.Plan, none)))},
		{"Function", fmt.Sprintf("%s/%s in %s", printable(l.ProjectID), printable(l.FunctionID), printable(l.Region))},
		{"Hour", l.WindowStart.UTC().Format("2006-01-02 15:04") + " to " + l.WindowEnd.UTC().Format("15:04")},
		{"State", fmt.Sprintf("%s, revision %d", printable(string(l.State)), l.Revision)},
		{"Quantity", fmt.Sprintf("%s, from %s to %s of the account", count(l.Quantity), count(l.CumBefore), count(l.CumAfter))},
		{"Price", a.price()},
		{"Amount", fmt.Sprintf("%s for %s", money(l.AmountMinor, l.Currency), plural(int(l.Packages), "package"))},
		{"SHA-256", printable(l.SHA256) + ", " + intact},
	})
	head := []string{"GATEWAY", "LINE HAS", "RECORDS HAVE", "FIRST", "LAST", "ADMITTED", "ENDED", "VOIDED", "ADJUSTED", "MATCHES"}
	rows := append(make([][]string, 0, 1+len(a.Sources)), head)
	for _, s := range a.Sources {
		row := []string{printable(s.Gateway), count(s.Line.Quantity), "", "", "", "", "", "", "", "not here"}
		if r := s.Records; r != nil {
			row = []string{
				printable(s.Gateway), count(s.Line.Quantity), count(r.Quantity), count(r.First), count(r.Last), count(int64(r.Admitted)), count(int64(r.Ended)),
				count(int64(r.VoidRecords)), count(int64(len(r.Adjustments))), map[bool]string{true: "yes", false: "NO"}[s.Matches != nil && *s.Matches],
			}
		}
		rows = append(rows, row)
	}
	fmt.Fprintln(w)
	write(w, rows)
	for i := range a.Sources {
		fmt.Fprintln(w)
		a.source(w, i)
	}
}

// price is that of the line.
func (a *proofAnswer) price() string {
	l, p := &a.Line, &a.Price
	switch {
	case l.Included < 0:
		return "all is included"
	case p.Package == 0:
		return "nothing is sold beyond " + count(l.Included)
	}
	return fmt.Sprintf("%s %s for each %s beyond %s", printable(p.Price), printable(l.Currency), count(p.Package), count(l.Included))
}

// source tells where the records of a gateway are.
func (a *proofAnswer) source(w io.Writer, i int) {
	s := &a.Sources[i]
	name := "Gateway " + printable(s.Gateway)
	r := s.Records
	if r == nil {
		redis := "Redis has no sums of the hour any more"
		if s.Redis != nil {
			redis = "Redis has " + count(s.Redis.Quantity)
		}
		fmt.Fprintf(w, "%s: the records are in its ledger, ask it with --address; %s\n", name, redis)
		return
	}
	fmt.Fprintf(w, "%s: SHA-256 of the records %s\n", name, printable(r.SHA256))
	chain := "all follow each other, the hashes of archives are those of the manifest"
	if r.Lost != "" {
		chain = "the records " + printable(r.Lost) + " are lost, what they said cannot be proved; the others " + strings.TrimPrefix(chain, "all ")
	}
	if r.Damage != "" {
		chain = "DAMAGED: " + printable(r.Damage)
	}
	fmt.Fprintf(w, "%s records of the ledger were read: %s\n", count(r.Read), chain)
	rows := [][]string{{"FILE", "RECORDS", "SHA-256"}}
	for _, f := range r.Files {
		rows = append(rows, []string{printable(f.File), count(int64(f.Records)), printable(cmp.Or(f.SHA256, "- (not archived yet)"))})
	}
	if len(r.Files) > 0 {
		write(w, rows)
	}
	for _, one := range r.Adjustments {
		fmt.Fprintf(w, "Record %s: %s by %s on %s: %s\n", count(one.Record), signed(one.Units), printable(one.Operator),
			one.Made.UTC().Format("2006-01-02 15:04"), printable(one.Reason))
	}
}

// money is an amount with its currency.
func money(minor int64, currency string) string {
	return usage.Decimal(minor, currency) + " " + printable(currency)
}
