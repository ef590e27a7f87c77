package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// call runs the binary's own command line.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := newRoot("edgegate")
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	code = codeOf(root.Execute())
	return out.String(), errs.String(), code
}

// Every command is offered by the name of this binary: no help says `caddy run`.
func TestHelpNamesThisBinary(t *testing.T) {
	asCaddy := regexp.MustCompile(`\bcaddy [a-z]`)
	count := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		count++
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		text, _, code := call(t, args...)
		want := 0
		if replacesBinary[cmd.Name()] {
			want = 1
		}
		if found := asCaddy.FindString(text); code != want || found != "" {
			t.Errorf("%s: exit code %d, it says %q", cmd.CommandPath(), code, found)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			// text in backquotes stands for the value: `edgegate status` in a sentence became the name of one
			if name, _ := pflag.UnquoteUsage(f); strings.Contains(name, " ") {
				t.Errorf("%s --%s takes %q", cmd.CommandPath(), f.Name, name)
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(newRoot("edgegate"))
	if count < 40 {
		t.Errorf("only %d commands", count)
	}
}

// Caddy's commands are there with their flags, but for those that would replace the binary by a stock Caddy.
func TestCommandsOfTheBinary(t *testing.T) {
	help, _, _ := call(t, "--help")
	for name := range caddycmd.Commands() {
		offered := regexp.MustCompile(`(?m)^  ` + name + ` `).MatchString(help)
		if offered == replacesBinary[name] {
			t.Errorf("%s: offered is %v", name, offered)
		}
	}
	if plain, _, code := call(t); code != 0 || plain != help {
		t.Errorf("without a command: exit code %d\n%s", code, plain)
	}
	for name := range replacesBinary {
		for _, args := range [][]string{{name}, {name, "-k"}, {name, "--keep-backup", "github.com/a/b"}} {
			_, stderr, code := call(t, args...)
			message, hint := said(t, stderr)
			if code != 1 || !strings.Contains(message, "would put a Caddy without edgegate in the place of this binary") || !strings.Contains(hint, "docs/build.md") {
				t.Errorf("%q: exit code %d, %s", args, code, stderr)
			}
		}
	}
	_, stderr, code := call(t, "statsu")
	if message, hint := said(t, stderr); code != 2 || !strings.Contains(message, `"statsu" is not a command of edgegate`) || !strings.Contains(hint, "status") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if _, _, code := call(t, "validate", "--config", filepath.Join(t.TempDir(), "none")); code != 1 {
		t.Errorf("a command of Caddy's that fails: exit code %d", code)
	}
}

// Commands that are not built yet are wrong usage and say so; so is help about what is no command.
func TestCommandsThatAreNotThere(t *testing.T) {
	for _, tc := range []struct{ args, message, hint string }{
		{"placement -o json", "placement: not in this build", "docs/roadmap.md"},
		{"help nosuch", `"nosuch" is not a command of edgegate`, "the commands of edgegate are"},
		{"help statsu", `"statsu" is not a command of edgegate`, "did you mean edgegate status?"},
		{"help usage shw", `"shw" is not a command of usage`, "did you mean usage show?"},
	} {
		_, stderr, code := call(t, strings.Fields(tc.args)...)
		if message, hint := said(t, stderr); code != 2 || !strings.Contains(message, tc.message) || !strings.Contains(hint, tc.hint) {
			t.Errorf("%s: exit code %d, %s", tc.args, code, stderr)
		}
	}
	for _, args := range []string{"help", "help usage", "help usage show", "help run", "help help"} {
		if stdout, stderr, code := call(t, strings.Fields(args)...); code != 0 || stdout == "" {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
	if help, _, _ := call(t, "--help"); strings.Contains(help, "placement") {
		t.Errorf("help offers what is not there: %s", help)
	}
}

func TestManpages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if _, stderr, code := call(t, "manpage", "--directory", dir); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "edgegate-status.8")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "edgegate-upgrade.8")); err == nil {
		t.Error("there is a page about a command that is not offered")
	}
	if _, _, code := call(t, "manpage"); code != 2 {
		t.Errorf("without a directory: exit code %d", code)
	}
}
