package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/regions/spelling"
)

// commandName is what can be a misspelt command. Anything else that stands in
// its place may be a token or a key, which must not be shown.
var commandName = regexp.MustCompile(`^[A-Za-z-]{1,16}$`)

// group makes cmd the parent of subs: it does nothing by itself, and says so
// with exit code 2.
func group(cmd *cobra.Command, subs ...*cobra.Command) {
	names := make([]string, len(subs))
	for i, sub := range subs {
		names[i] = sub.Name()
		sub.DisableFlagsInUseLine = true // they are all in Use
		cmd.AddCommand(sub)
	}
	slices.Sort(names)
	ownErrors(cmd)
	cmd.DisableFlagsInUseLine = true
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return exit(cmd, wrongCommand(cmd.Name(), names, args))
	}
}

// wrongCommand is the error of a call that names none of the commands.
func wrongCommand(parent string, names, args []string) error {
	commands := "the commands of " + parent + " are " + strings.Join(names, ", ")
	if len(names) == 1 {
		commands = "the command of " + parent + " is " + names[0]
	}
	if len(args) == 0 {
		return &UsageError{Msg: parent + " needs a command", Hint: commands}
	}
	if !commandName.MatchString(args[0]) {
		return &UsageError{Msg: "not a command of " + parent, Hint: commands}
	}
	e := &UsageError{Msg: fmt.Sprintf("%q is not a command of %s", args[0], parent), Hint: commands}
	if near, ok := spelling.ClosestName(args[0], names); ok {
		e.Hint = fmt.Sprintf("did you mean %s %s?", parent, near)
	}
	return e
}
