package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgegate/edgegate/regions/spelling"
)

// exitUsage is the exit code of wrong usage (docs/cli.md).
const exitUsage = 2

// exitExplained is the exit code of a difference that is no error, and of an answer
// that is not all (docs/cli.md).
const exitExplained = 3

// UsageError is a command line that cannot be understood: the process ends
// with exit code 2 and nothing was done.
type UsageError struct {
	Msg  string // what is wrong with it
	Hint string // what to type instead; empty points to --help
}

// Error returns the message without the hint.
func (e *UsageError) Error() string { return e.Msg }

// FailureError is a command that was understood and did not succeed, with
// what the user can do about it: the process ends with exit code 1.
type FailureError struct {
	Msg  string // what went wrong
	Hint string // what to do about it; empty asks for a report

	unreached bool   // nothing answers at the address of the gateway
	status    string // of the answer of the admin API; "" without one
}

// Error returns the message without the hint.
func (e *FailureError) Error() string { return e.Msg }

// Arg is an argument of a command, at its place on the command line.
type Arg struct {
	Name     string  // as the help shows it, such as FILE
	Value    *string // receives what was typed
	Optional bool    // if all after it are
}

// Run makes do the work of cmd, a command that takes flags and the given
// arguments, with the error output of docs/cli.md: one JSON line
// {"error","hint"} on standard error and exit code 2 for a [UsageError], wrong
// flags and arguments, 1 for any other error. It sets Args, RunE and the flag
// error function of cmd; the flags are the caller's. The context of do is the
// one that cmd is executed with.
func Run(cmd *cobra.Command, do func(ctx context.Context) error, args ...Arg) {
	ownErrors(cmd)
	cmd.Args = func(cmd *cobra.Command, typed []string) error {
		if err := takeArgs(cmd, args, typed); err != nil {
			return exit(cmd, err)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return exit(cmd, do(cmd.Context()))
	}
}

// ownErrors keeps cobra from printing errors in its own words.
func ownErrors(cmd *cobra.Command) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit(cmd, wrongFlag(cmd, err))
	})
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// takeArgs hands over what was typed. An argument can be a token, so errors
// of commands that take some only count them.
func takeArgs(cmd *cobra.Command, args []Arg, typed []string) error {
	if len(args) == 0 && len(typed) > 0 {
		return &UsageError{Msg: fmt.Sprintf("%s takes no argument, got %q", cmd.Name(), typed[0])}
	}
	least := len(args)
	for least > 0 && args[least-1].Optional {
		least--
	}
	if len(typed) < least || len(typed) > len(args) {
		names := make([]string, len(args))
		for i, arg := range args {
			names[i] = arg.Name
		}
		return &UsageError{
			Msg:  fmt.Sprintf("%s takes %s, got %s", cmd.Name(), strings.Join(names, " and "), counted(len(typed), "argument")),
			Hint: "usage: " + cmd.Parent().CommandPath() + " " + cmd.Use,
		}
	}
	for i, value := range typed {
		*args[i].Value = value
	}
	return nil
}

// OneOf returns a [UsageError] unless value, given to --flag, is one of the
// allowed ones; the hint names the nearest.
func OneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	list := strings.TrimPrefix(strings.Join(allowed[:last], ", ")+" and "+allowed[last], " and ")
	e := &UsageError{Msg: fmt.Sprintf("--%s %q: allowed are %s", flag, value, list)}
	if near, ok := spelling.ClosestName(value, allowed); ok {
		e.Hint = fmt.Sprintf("did you mean --%s %s?", flag, near)
	}
	return e
}

// wrongFlag adds the nearest flag to what pflag says of an unknown one.
func wrongFlag(cmd *cobra.Command, err error) error {
	e := &UsageError{Msg: err.Error()}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if isLater(cmd, unknown.GetSpecifiedName()) {
			return notBuilt("--" + unknown.GetSpecifiedName())
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near, ok := spelling.ClosestName(unknown.GetSpecifiedName(), names); ok {
			e.Hint = fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return e
}

// errVerdict ends a command whose answer, printed already, is a no: exit code
// 1, as for a failure, and nothing on standard error.
var errVerdict = errors.New("the answer is no")

// errExplained ends one whose answer, printed already, is a no that is no error:
// exit code 3.
var errExplained = errors.New("the difference is explained")

// partialError ends a command whose answer, printed already, is not all: exit code 3.
type partialError struct{ why, hint string }

func (e *partialError) Error() string { return "partial: " + e.why }

// exit prints err and returns what makes Caddy's Main exit with the right
// code: any error is 1, and others are only to be had through Caddy's own wrapper,
// whose error type is not exported.
func exit(cmd *cobra.Command, err error) error {
	if err == nil || errors.Is(err, errVerdict) {
		return err
	}
	if partial, ok := errors.AsType[*partialError](err); ok {
		printError(cmd.ErrOrStderr(), partial, partial.hint)
		return exitWith(cmd, exitExplained)
	}
	if errors.Is(err, errExplained) {
		return exitWith(cmd, exitExplained)
	}
	var usage *UsageError
	var failure *FailureError
	hint := ""
	switch {
	case errors.As(err, &usage):
		if hint = usage.Hint; hint == "" {
			hint = cmd.CommandPath() + " --help lists the flags"
		}
	case errors.As(err, &failure):
		hint = failure.Hint
	}
	if hint == "" {
		hint = "this is a fault of " + cmd.Root().Name() + " itself: please report it"
	}
	printError(cmd.ErrOrStderr(), err, hint)
	if usage != nil {
		return exitWith(cmd, exitUsage)
	}
	return err
}

func exitWith(cmd *cobra.Command, code int) error {
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}

func printError(w io.Writer, err error, hint string) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}{err.Error(), hint})
}
