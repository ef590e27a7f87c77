package cli

import (
	"strings"
	"testing"
)

const listJSON = `{"source":"file","loaded_at":"2026-11-23T11:59:18Z","error":null,"projects":[
{"ref":"abcdefghijklmnopqrst","organization":"acme","plan":"pro","domains":["api.acme.org"],"functions":12,"left_out":0,"regions":[]},
{"ref":"bcdefghijklmnopqrstu","organization":"","plan":"","domains":[],"functions":0,"left_out":0,"regions":["lab"]},
{"ref":"cdefghijklmnopqrstuv","organization":"acme","plan":"free","domains":["a.org","b.org","c.org","d.org","e.org"],"functions":100,"left_out":7,"regions":null}]}`

const listText = `Projects  3
Source    file, loaded 42s ago

REF                   ORGANIZATION  PLAN  FUNCTIONS         DOMAINS
abcdefghijklmnopqrst  acme          pro   12                api.acme.org
bcdefghijklmnopqrstu  -             -     0                 -
cdefghijklmnopqrstuv  acme          free  100 (7 left out)  a.org, b.org, c.org and 2 more
`

func TestProjectsList(t *testing.T) {
	for _, tc := range []struct{ name, answer, want string }{
		{"some", listJSON, listText},
		{
			"a newer version that was refused", `{"source":"file","loaded_at":"2026-11-23T11:59:18Z","error":"projects[3].ref: \"a\"\nprojects[4].ref: \"b\"","projects":[]}`,
			// a line each: it was one with a `\n` in it
			"Projects  0\nSource    file, loaded 42s ago\nRefused   projects[3].ref: \"a\"\n          projects[4].ref: \"b\"\n",
		},
		{
			"a source that is away", `{"source":"redis","loaded_at":"0001-01-01T00:00:00Z","error":"connection refused","projects":[]}`,
			"Projects  0\nSource    redis, not loaded yet\nRefused   connection refused\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, 200, tc.answer)
			stdout, stderr, code := execute(t, "projects", "list", "--address", g.address())
			if code != 0 || stderr != "" || stdout != tc.want {
				t.Errorf("exit code %d, standard error %q, got\n%s\nwant\n%s", code, stderr, stdout, tc.want)
			}
			if asked := g.questions(); len(asked) != 1 || asked[0] != "GET /edge_functions/projects" {
				t.Errorf("asked %q", asked)
			}
			stdout, _, code = execute(t, "projects", "list", "-o", "json", "--address", g.address())
			if code != 0 || compact(t, stdout) != compact(t, tc.answer) {
				t.Errorf("-o json: exit code %d, got\n%s", code, stdout)
			}
		})
	}
	g := serve(t, 200, `{"source":"file"}`)
	_, stderr, code := execute(t, "projects", "list", "--address", g.address())
	if message, _ := said(t, stderr); code != 1 || !strings.Contains(message, "another JSON than expected") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
