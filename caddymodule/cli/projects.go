package cli

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

func projectsCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "projects",
		Usage: "check|import|list",
		Short: "Checks, makes and lists projects",
		Long:  "Commands for projects files and for the projects of a running gateway.",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("projects", " check projects.json", " import --supabase . --out projects.json", " list")
			group(cmd, projectsCheck(now), projectsImport(now), projectsList(now))
		},
	}
}

func projectsList(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list " + flags,
		Short: "Lists the projects of a running gateway",
		Long: `Lists the projects that are in force in a running gateway, where they come from,
and why a newer version was refused, if one was.`,
		Example: examples("projects list", "", " --address unix//run/edgegate.sock", " -o json"),
	}
	ask(cmd, now, func() (question, answer, error) {
		return question{uri: "/edge_functions/projects"}, new(listAnswer), nil
	})
	return cmd
}

type listAnswer struct{ gateway.ProjectsAnswer }

func (a *listAnswer) complete() bool { return a.Source != "" && a.Projects != nil }

func (a *listAnswer) table(w io.Writer, now time.Time) {
	loaded := printable(a.Source) + ", not loaded yet"
	if a.LoadedAt != nil && !a.LoadedAt.IsZero() {
		loaded = fmt.Sprintf("%s, loaded %s ago", printable(a.Source), age(*a.LoadedAt, now))
	}
	head := [][]string{{"Projects", strconv.Itoa(len(a.Projects))}, {"Source", loaded}}
	if a.Error != nil && *a.Error != "" {
		for i, line := range strings.Split(*a.Error, "\n") {
			name := "Refused"
			if i > 0 {
				name = ""
			}
			head = append(head, []string{name, printable(strings.TrimSpace(line))})
		}
	}
	write(w, head)
	if len(a.Projects) == 0 {
		return
	}
	rows := [][]string{{"REF", "ORGANIZATION", "PLAN", "FUNCTIONS", "DOMAINS"}}
	for _, p := range a.Projects {
		functions := strconv.Itoa(p.Functions)
		if p.LeftOut > 0 {
			functions += fmt.Sprintf(" (%d left out)", p.LeftOut)
		}
		rows = append(rows, []string{
			printable(p.Ref), printable(cmp.Or(p.Organization, none)), printable(cmp.Or(p.Plan, none)), functions, domainList(p.Domains),
		})
	}
	fmt.Fprintln(w)
	write(w, rows)
}

// domainList keeps a row on its line.
func domainList(domains []string) string {
	const shown = 3
	switch {
	case len(domains) == 0:
		return none
	case len(domains) > shown:
		return printable(strings.Join(domains[:shown], ", ")) + fmt.Sprintf(" and %d more", len(domains)-shown)
	}
	return printable(strings.Join(domains, ", "))
}
