package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/gateway"
)

// maxToken bounds what is read as a token, in bytes: the gateway's own header
// limit is a quarter of it.
const maxToken = 64 << 10

func tokenCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "token",
		Usage: "inspect TOKEN",
		Short: "Says whether a running gateway accepts a token, and why",
		Long:  "Commands for the tokens that clients send.",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("token", " inspect - < token.txt")
			group(cmd, tokenInspect(now))
		},
	}
}

func tokenInspect(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect TOKEN [--project REF] " + flags,
		Short: "Decodes a token and says which check of a running gateway it fails",
		Long: `Shows header and claims of a JWT and judges it by the same code that judges
requests, with the keys of a running gateway: each check, and why it failed. The
exit code is 1 if the gateway would refuse the token.

TOKEN of - reads it from standard input, which keeps it out of the shell's
history and of the list of processes. A leading "Bearer " is dropped. No key is
printed, and of the token's signature at most the 6 characters that the
invocation log has too.

Without --project the gateway takes its only project, or the one that the
token's ref claim names.`,
		Example: examples("token inspect", " - < token.txt", ` - --project abcdefghijklmnopqrst -o json < token.txt`, ` "$TOKEN"`),
	}
	var typed string
	project := cmd.Flags().String("project", "", "the ref of the project whose keys are used")
	ask(cmd, now, func() (question, answer, error) {
		token, err := readToken(typed, cmd.InOrStdin())
		return question{
			uri:  "/edge_functions/token",
			body: map[string]string{"token": token, "project": *project},
			hint: "name the project with --project REF; `edgegate projects list` lists them",
		}, new(tokenAnswer), err
	}, Arg{Name: "TOKEN", Value: &typed})
	return cmd
}

// readToken returns the token that was typed, or standard input for "-". Its
// errors have nothing of the token in them.
func readToken(typed string, input io.Reader) (string, error) {
	if typed == "-" {
		read, err := io.ReadAll(io.LimitReader(input, maxToken+1))
		if err != nil {
			return "", &FailureError{Msg: fmt.Sprintf("reading the token: %v", err), Hint: "pipe the token into the command"}
		}
		typed = string(read)
	}
	token := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(typed)+" ", "Bearer "))
	switch {
	case token == "":
		return "", &UsageError{Msg: "the token is empty", Hint: "pipe it into `edgegate token inspect -`"}
	case len(token) > maxToken:
		return "", &UsageError{Msg: fmt.Sprintf("the token is longer than %d KiB", maxToken>>10), Hint: "pipe one token into `edgegate token inspect -`"}
	}
	return token, nil
}

// tokenAnswer is the gateway's, with the JSON of members as it came: numbers keep
// their digits.
type tokenAnswer struct {
	gateway.TokenAnswer
	Header   map[string]json.RawMessage `json:"header"`
	Claims   map[string]json.RawMessage `json:"claims"`
	Accepted *bool                      `json:"accepted"` // nil: it is another answer
}

// checkResult is one word for what a check found.
func checkResult(c gateway.TokenCheck) string {
	switch {
	case c.Skipped:
		return "skipped"
	case c.OK:
		return "ok"
	}
	return "failed"
}

func (a *tokenAnswer) complete() bool { return a.Accepted != nil }

func (a *tokenAnswer) yes() bool { return *a.Accepted }

func (a *tokenAnswer) table(w io.Writer, now time.Time) {
	result := "accepted"
	if !a.yes() {
		result = "refused"
		if a.Code != "" || a.Message != "" {
			result += ": " + strings.TrimSpace(a.Code+" "+a.Message)
		}
	}
	write(w, [][]string{
		{"Project", printable(cmp.Or(a.Project, none))},
		{"Result", printable(result)},
		{"Key", printable(cmp.Or(a.Key, none))},
	})
	members(w, "HEADER", a.Header, nil)
	members(w, "CLAIM", a.Claims, func(name string, value json.RawMessage) string { return numericDate(name, value, now) })
	if len(a.Checks) == 0 {
		return
	}
	rows := [][]string{{"CHECK", "RESULT", "WHY"}}
	for _, c := range a.Checks {
		rows = append(rows, []string{printable(c.Check), checkResult(c), printable(cmp.Or(c.Detail, none))})
	}
	fmt.Fprintln(w)
	write(w, rows)
}

// members writes the members of a JSON object by name; note adds to a value.
func members(w io.Writer, title string, object map[string]json.RawMessage, note func(string, json.RawMessage) string) {
	if len(object) == 0 {
		return
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	rows := [][]string{{title, "VALUE"}}
	for _, name := range names {
		value := object[name]
		shown := string(value)
		var text string
		if json.Unmarshal(value, &text) == nil {
			shown = text
		}
		shown = printable(shown)
		if note != nil {
			shown += note(name, value)
		}
		rows = append(rows, []string{printable(name), shown})
	}
	fmt.Fprintln(w)
	write(w, rows)
}

// numericDate says when a NumericDate (RFC 7519 section 2) is.
func numericDate(name string, value json.RawMessage, now time.Time) string {
	seconds, err := wholeSeconds(value)
	if err != nil || !slices.Contains([]string{"exp", "nbf", "iat", "auth_time"}, name) {
		return ""
	}
	at := time.Unix(seconds, 0).UTC()
	if at.After(now) {
		return fmt.Sprintf(" (%s, in %s)", at.Format(time.RFC3339), age(now, at))
	}
	return fmt.Sprintf(" (%s, %s ago)", at.Format(time.RFC3339), age(at, now))
}

// wholeSeconds refuses what no calendar shows.
func wholeSeconds(value json.RawMessage) (int64, error) {
	var number *float64
	if err := json.Unmarshal(value, &number); err != nil {
		return 0, err
	}
	const year9999 = 253402300799
	if number == nil || *number < 0 || *number > year9999 {
		return 0, errors.New("no date")
	}
	return int64(math.Floor(*number)), nil
}
