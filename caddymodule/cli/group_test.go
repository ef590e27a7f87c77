package cli

import (
	"strings"
	"testing"
)

func TestSubCommands(t *testing.T) {
	g := serve(t, 200, listJSON)
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJyZWYiOiJ4In0.c2lnbmF0dXJl"
	for _, tc := range []struct {
		name    string
		args    []string
		message string
		hint    string
	}{
		{"none", []string{"projects"}, "projects needs a command", "check, import, list"},
		{"one to choose from", []string{"token"}, "token needs a command", "the command of token is inspect"},
		{"misspelt", []string{"projects", "chekc"}, `"chekc" is not a command of projects`, "did you mean projects check?"},
		{"unknown", []string{"projects", "destroy"}, `"destroy" is not a command of projects`, "check, import, list"},
		{"a token in its place", []string{"token", jwt}, "not a command of token", "inspect"},
		{"a key in its place", []string{"token", "sb_secret_0123456789"}, "not a command of token", "inspect"},
		{"a flag of a sub-command", []string{"projects", "--out", "x"}, "unknown flag: --out", "--help"},
		{"too few arguments", []string{"token", "inspect"}, "inspect takes TOKEN, got 0 arguments", "edgegate token inspect TOKEN"},
		{"too many arguments", []string{"token", "inspect", "Bearer", jwt}, "inspect takes TOKEN, got 2 arguments", "edgegate token inspect TOKEN"},
		{"an argument too many where none is taken", []string{"projects", "list", "all"}, `list takes no argument, got "all"`, "edgegate projects list --help"},
		{"misspelt flag", []string{"projects", "check", "x.json", "--apx", "x"}, "unknown flag: --apx", "did you mean --apex?"},
		{"misspelt output of check", []string{"projects", "check", "x.json", "-o", "jsn"}, `--output "jsn"`, "did you mean --output json?"},
		{"misspelt output of import", []string{"projects", "import", "--supabase", ".", "-o", "jsn"}, `--output "jsn"`, "did you mean --output json?"},
		{"misspelt severity", []string{"audit", "--min-severity", "hgh"}, `--min-severity "hgh": allowed are high, medium, low and info`, "did you mean --min-severity high?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stdout, stderr, code := execute(t, tc.args...)
			if code != 2 || stdout != "" {
				t.Errorf("exit code %d, standard output %q", code, stdout)
			}
			message, hint := said(t, stderr)
			if !strings.Contains(message, tc.message) || !strings.Contains(hint, tc.hint) {
				t.Errorf("got error %q, hint %q", message, hint)
			}
			if strings.Contains(stderr, "eyJ") || strings.Contains(stderr, "sb_secret_") {
				t.Errorf("a credential is shown: %s", stderr)
			}
		})
	}
	if asked := g.questions(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}
