package cli

import (
	"context"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Main runs the command line of the binary edgegate and does not return: every
// command that is registered, Caddy's with the names that they have here. A
// Caddy with our modules, built by xcaddy, has Caddy's own.
func Main() {
	err := newRoot("edgegate").Execute()
	os.Exit(codeOf(err))
}

const longRoot = `edgegate is an API gateway for serverless functions in many regions, built on
Caddy: its commands run, validate, reload and so on are Caddy's.`

const exampleRoot = `  edgegate demo
  edgegate validate --config Caddyfile
  edgegate run --config Caddyfile
  edgegate status`

// newRoot is Caddy's root command as the binary called name has it.
func newRoot(name string) *cobra.Command {
	_, version := caddy.Version()
	root := &cobra.Command{
		Use:          name,
		Long:         longRoot,
		Example:      exampleRoot,
		Version:      version,
		SilenceUsage: true, // an error of a configuration is none of usage
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpTemplate(root.HelpTemplate() + "\nManual: docs/cli.md. Of Caddy's own commands: https://caddyserver.com/docs/command-line\n")
	registered := caddycmd.Commands()
	names := make([]string, 0, len(registered))
	for command := range registered {
		names = append(names, command)
	}
	slices.Sort(names)
	for _, command := range names {
		if replacesBinary[command] {
			root.AddCommand(refused(command))
			continue
		}
		root.AddCommand(cobraCommand(registered[command]))
	}
	root.AddCommand(manpages())
	for _, command := range laterCommands {
		root.AddCommand(later(command))
	}
	checkHelp(root)
	rename(root, name)
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		cmd.SilenceErrors = true // it is printed by exit
		return exit(cmd, wrongCommand(name, offered(cmd), args))
	}
	return root
}

// offered are the names of a command's commands.
func offered(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// checkHelp has `help` refuse what is no command.
func checkHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil || help.Run == nil {
		return // root would refuse it itself
	}
	show := help.Run
	ownErrors(help)
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		if about, rest, err := root.Find(args); err == nil && len(rest) > 0 && about.HasSubCommands() {
			return exit(cmd, wrongCommand(about.Name(), offered(about), rest))
		}
		show(cmd, args)
		return nil
	}
}

// manpages is Caddy's command of that purpose, which is not among those that are
// registered, for all commands of this binary.
func manpages() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "manpage --directory DIR",
		Short:   "Writes manual pages for all commands",
		Long:    "Writes a manual page for each command into a directory, which is made if it is not there.",
		Example: "  edgegate manpage --directory /usr/local/share/man/man8",
	}
	cmd.DisableFlagsInUseLine = true
	dir := cmd.Flags().StringP("directory", "o", "", "where the pages go")
	Run(cmd, func(context.Context) error {
		if *dir == "" {
			return &UsageError{Msg: "--directory is missing", Hint: "edgegate manpage --directory DIR"}
		}
		if err := os.MkdirAll(*dir, 0o755); err != nil { //nolint:gosec // manual pages are for everybody
			return &FailureError{Msg: err.Error(), Hint: "name a directory that can be written"}
		}
		if err := doc.GenManTree(cmd.Root(), &doc.GenManHeader{Title: "edgegate", Section: "8"}, *dir); err != nil {
			return &FailureError{Msg: err.Error(), Hint: "name a directory that can be written"}
		}
		return nil
	})
	return cmd
}

// cobraCommand builds the cobra command of a registered command, as Caddy does.
func cobraCommand(c caddycmd.Command) *cobra.Command {
	cmd := &cobra.Command{Use: strings.TrimSpace(c.Name + " " + c.Usage), Short: c.Short, Long: c.Long}
	if c.CobraFunc != nil {
		c.CobraFunc(cmd)
		return cmd
	}
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(c.Func)
	if c.Flags != nil {
		cmd.Flags().AddGoFlagSet(c.Flags)
	}
	return cmd
}

// replacesBinary are Caddy's commands that download a Caddy in the place of the
// running binary. It would have none of our modules: they are not in its
// registry of packages.
var replacesBinary = map[string]bool{"upgrade": true, "add-package": true, "remove-package": true}

// refused stands in the place of a command that would do harm.
func refused(name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:                name,
		Hidden:             true,
		DisableFlagParsing: true,
		Short:              "Not offered: it would put a Caddy without edgegate in the place of this binary",
		Long:               "Not offered: it would put a Caddy without edgegate in the place of this binary.",
	}
	ownErrors(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return exit(cmd, &FailureError{
			Msg:  name + " would put a Caddy without edgegate in the place of this binary",
			Hint: "build a new one: docs/build.md says how, with further modules too",
		})
	}
	return cmd
}

// caddyCommand matches the names of Caddy's commands in its texts: `caddy run`.
var caddyCommand = regexp.MustCompile(`\bcaddy (run|start|stop|reload|adapt|validate|fmt|environ|storage|completion|reverse-proxy|file-server|respond|trust|untrust|hash-password|list-modules|manpage|version)\b`)

// rename has the texts of all commands name the binary that is run.
func rename(cmd *cobra.Command, name string) {
	cmd.Long = caddyCommand.ReplaceAllString(cmd.Long, name+" $1")
	cmd.Example = caddyCommand.ReplaceAllString(cmd.Example, name+" $1")
	for _, sub := range cmd.Commands() {
		rename(sub, name)
	}
}

// codeOf is the one that a command ended with. Caddy keeps it in an error
// whose type is not exported.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		value := reflect.Indirect(reflect.ValueOf(cause))
		if value.Kind() != reflect.Struct {
			continue
		}
		if code := value.FieldByName("ExitCode"); code.IsValid() && code.CanInt() {
			return int(code.Int())
		}
	}
	return 1
}
