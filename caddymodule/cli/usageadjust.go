package cli

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

// adjustOptions are the arguments and flags of usage adjust.
type adjustOptions struct {
	org, units, project, function, region, reason, operator, at string

	list              bool
	month, onlyListed string
}

func usageAdjust(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use: "adjust ORG UNITS --project REF --function SLUG --region NAME --reason TEXT [--operator NAME] [--at TIME] " + flags +
			" | adjust --list [--period MONTH] [--org ID]",
		Short: "Adds to what is billed, or deducts from it",
		Long: `Adds so many invocations to what is billed to an organization, or with a minus
deducts them, in the hour of --at, by default the current one. It is a record of
its own in the ledger of the gateway that is asked, with the reason and who it
was: nothing is changed or removed. Bills have it at once, quotas do not: for
those there is quota set. --operator is by default who runs the command.

--list shows the adjustments in the gateway's ledger.`,
		Example: examples("usage adjust",
			` acme -1200 --project abcdefghijklmnopqrst --function hello --region eu-central-1 --reason "outage on 3 November" --at 2026-11-03T14:00:00Z`,
			" --list --period 2026-11"),
	}
	var o adjustOptions
	f := cmd.Flags()
	f.StringVar(&o.project, "project", "", "project, by its ref")
	f.StringVar(&o.function, "function", "", "function, by its slug")
	f.StringVar(&o.region, "region", "", "region that the line is of")
	f.StringVar(&o.reason, "reason", "", "why; it is kept")
	f.StringVar(&o.operator, "operator", runBy(), "who; it is kept")
	f.StringVar(&o.at, "at", "", "time in the hour that is adjusted, such as 2026-11-03T14:00:00Z")
	f.BoolVar(&o.list, "list", false, "show the adjustments of this gateway")
	f.StringVar(&o.month, "period", "", "with --list: month in which the periods started, such as 2026-11")
	f.StringVar(&o.onlyListed, "org", "", "with --list: one organization, by its id")
	ask(cmd, now, func() (question, answer, error) {
		q, err := o.question()
		return q, new(adjustAnswer), err
	}, Arg{Name: "ORG", Value: &o.org, Optional: true}, Arg{Name: "UNITS", Value: &o.units, Optional: true})
	takeSigned(cmd)
	return cmd
}

// runBy returns the user who runs the command, "" if unknown.
func runBy() string {
	name := cmp.Or(os.Getenv("SUDO_USER"), os.Getenv("USER"))
	if name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// question returns the request to the admin API.
func (o *adjustOptions) question() (question, error) {
	const path = "/edge_functions/usage/adjust"
	if o.list {
		if o.org != "" {
			return question{}, &UsageError{Msg: "adjust --list takes no argument", Hint: "name one organization with --org"}
		}
		if err := checkMonth(o.month); err != nil {
			return question{}, err
		}
		return question{uri: withQuery(path, map[string]string{"period": o.month, "organization": o.onlyListed})}, nil
	}
	if o.month+o.onlyListed != "" {
		return question{}, &UsageError{Msg: "--period and --org are for --list", Hint: "the hour that is adjusted is given with --at"}
	}
	if o.units == "" {
		return question{}, &UsageError{Msg: "adjust takes ORG and UNITS", Hint: "or --list, which shows the adjustments that were made"}
	}
	units, err := strconv.ParseInt(o.units, 10, 64)
	if err != nil || units == 0 || units > math.MaxUint32 || units < -math.MaxUint32 {
		return question{}, &UsageError{
			Msg:  fmt.Sprintf("%q is no number of invocations to adjust by", o.units),
			Hint: fmt.Sprintf("write a whole number other than 0, at most %d, with a minus for what is deducted", uint32(math.MaxUint32)),
		}
	}
	for _, flag := range []struct{ name, value string }{
		{"project", o.project}, {"function", o.function}, {"region", o.region}, {"reason", strings.TrimSpace(o.reason)}, {"operator", o.operator},
	} {
		if flag.value == "" {
			return question{}, &UsageError{Msg: fmt.Sprintf("--%s is missing", flag.name), Hint: "what is billed is told apart by project, function and region, and who adjusts it says why"}
		}
	}
	body := map[string]any{
		"organization": o.org, "units": units, "project": o.project, "function": o.function, "region": o.region, "reason": o.reason, "operator": o.operator,
	}
	if o.at != "" {
		at, err := time.Parse(time.RFC3339, o.at)
		if err != nil {
			return question{}, &UsageError{Msg: fmt.Sprintf("--at %q is no time", o.at), Hint: "write it as in 2026-11-03T14:00:00Z"}
		}
		body["at"] = at
	}
	return question{uri: path, body: body, hint: "`edgegate usage show` lists what was used; nothing was adjusted"}, nil
}

// negative is an argument that pflag would take for a flag.
var negative = regexp.MustCompile(`^-[0-9]+$`)

// takeSigned has a command take a negative number as its last argument, wherever
// it stands.
func takeSigned(cmd *cobra.Command) {
	take := cmd.Args
	cmd.DisableFlagParsing = true
	cmd.Args = func(cmd *cobra.Command, typed []string) error {
		cmd.DisableFlagParsing = false
		var rest, numbers []string
		for i, arg := range typed {
			if arg == "--" {
				rest = append(rest, typed[i:]...)
				break
			}
			value := i > 0 && strings.HasPrefix(typed[i-1], "-") && !strings.Contains(typed[i-1], "=") && !negative.MatchString(typed[i-1])
			if negative.MatchString(arg) && !value {
				numbers = append(numbers, arg)
				continue
			}
			rest = append(rest, arg)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			return cmd.FlagErrorFunc()(cmd, err)
		}
		if help, err := cmd.Flags().GetBool("help"); err == nil && help {
			return pflag.ErrHelp
		}
		return take(cmd, append(cmd.Flags().Args(), numbers...))
	}
}

type adjustAnswer struct{ billing.AdjustAnswer }

func (a *adjustAnswer) complete() bool { return a.Adjustments != nil }

func (a *adjustAnswer) table(w io.Writer, _ time.Time) {
	if len(a.Adjustments) == 0 {
		fmt.Fprintln(w, "Nothing was adjusted.")
		return
	}
	rows := append(make([][]string, 0, 1+len(a.Adjustments)), []string{"MADE", "OPERATOR", "ORGANIZATION", "PROJECT", "FUNCTION", "REGION", "HOUR", "UNITS", "REASON"})
	const minutes = "2006-01-02 15:04"
	for _, one := range a.Adjustments {
		rows = append(rows, []string{
			one.Made.UTC().Format(minutes), printable(one.Operator), printable(one.Organization), printable(one.Project), printable(one.Function),
			printable(one.Region), one.At.UTC().Truncate(time.Hour).Format(minutes), signed(one.Units), printable(one.Reason),
		})
	}
	write(w, rows)
	if a.Period != nil && a.Before != nil && a.After != nil {
		fmt.Fprintf(w, "\n%s is billed %s invocations in %s now, %s before.\n",
			printable(a.Adjustments[0].Organization), count(*a.After), printable(a.Period.ID), count(*a.Before))
	}
}
