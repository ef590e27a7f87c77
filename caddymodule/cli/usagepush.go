package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/ratelimit/billing"
)

func usageExporters(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exporters " + flags,
		Short: "Shows how far exporters are",
		Long: `Shows for each exporter of a gateway whether it works, what it was not told yet,
and what it does not take.`,
		Example: examples("usage exporters", "", " -o json"),
	}
	ask(cmd, now, func() (question, answer, error) {
		return question{uri: "/edge_functions/usage/exporters"}, new(exportersAnswer), nil
	})
	return cmd
}

func usagePush(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "push [EXPORTER] [--rejected] " + flags,
		Short: "Has exporters told now what is new",
		Long: `Tells exporters now what they are otherwise told within a minute, and shows how
far they are then. With --rejected they are also told again what they did not
take. The exit code is 1 if one of them fails.`,
		Example: examples("usage push", "", " \"stripe edge_invocations\" --rejected"),
	}
	rejected := cmd.Flags().Bool("rejected", false, "also what they did not take")
	var name string
	ask(cmd, now, func() (question, answer, error) {
		return question{
			uri:     "/edge_functions/usage/exporters",
			body:    map[string]any{"exporter": name, "rejected": *rejected},
			timeout: pushTimeout,
			hint:    "`edgegate usage exporters` lists those of this gateway",
		}, new(pushAnswer), nil
	}, Arg{Name: "EXPORTER", Value: &name, Optional: true})
	return cmd
}

// pushTimeout is for services that answer slowly.
const pushTimeout = 10 * time.Minute

type exportersAnswer struct{ billing.ExportersAnswer }

func (a *exportersAnswer) complete() bool { return a.Exporters != nil }

// pushAnswer is a no where an exporter fails.
type pushAnswer struct{ exportersAnswer }

// yes implements verdict.
func (a *pushAnswer) yes() bool {
	for _, e := range a.Exporters {
		if e.State == billing.ExporterFailing {
			return false
		}
	}
	return true
}

func (a *exportersAnswer) table(w io.Writer, now time.Time) {
	if len(a.Exporters) == 0 {
		fmt.Fprintln(w, "There is no exporter.")
		return
	}
	rows := [][]string{{"EXPORTER", "STATE", "UP TO DATE", "SENT", "HELD", "UNANSWERED", "REJECTED"}}
	for _, e := range a.Exporters {
		worked, held := none, 0
		if e.WorkedAt != nil {
			worked = age(*e.WorkedAt, now) + " ago"
		}
		for _, n := range e.Held {
			held += n
		}
		rows = append(rows, []string{printable(e.Name), printable(e.State), worked, count(int64(e.Sent)), count(int64(held)), count(int64(e.Unanswered)), count(int64(e.Rejected))})
	}
	write(w, rows)
	for _, e := range a.Exporters {
		if e.Error != nil {
			fmt.Fprintf(w, "%s: %s\n", printable(e.Name), printable(cmp.Or(*e.Error, none)))
		}
		for _, why := range slices.Sorted(maps.Keys(e.Held)) {
			fmt.Fprintf(w, "%s: held: %s\n", printable(e.Name), printable(why))
		}
		for _, why := range e.Reasons {
			fmt.Fprintf(w, "%s: rejected: %s\n", printable(e.Name), printable(why))
		}
	}
}
