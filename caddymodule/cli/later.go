package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/routing/projects"
)

// laterCommands and laterFlags, by command, are of parts that come later
// (docs/roadmap.md): wrong usage, as what is unknown, but not a typing error.
var (
	laterCommands = []string{"placement"}
	laterFlags    = map[string][]string{"explain": {"function"}}
)

// later is a command that is not there yet.
func later(name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:    name,
		Hidden: true,
		Short:  projects.NotBuilt,
		Long:   "Not in this build: docs/roadmap.md says what there is instead.",
	}
	ownErrors(cmd)
	cmd.FParseErrWhitelist.UnknownFlags = true
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return exit(cmd, notBuilt(name)) }
	return cmd
}

func notBuilt(what string) *UsageError {
	return &UsageError{Msg: what + ": not in this build", Hint: "docs/roadmap.md says what there is instead"}
}

// isLater reports whether a flag is of a part that comes later.
func isLater(cmd *cobra.Command, flag string) bool {
	return slices.Contains(laterFlags[cmd.Name()], flag)
}
