package cli

import (
	"strings"
	"testing"
)

const usageJSON = `{"organizations":[
{"id":"","period":{"id":"2026-11","start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"invocations":0,"projects":[]},
{"id":"acme","period":{"id":"20261105+UTC","start":"2026-11-05T00:00:00Z","end":"2026-12-05T00:00:00Z"},"invocations":1234567,"projects":[
{"ref":"abcdefghijklmnopqrst","functions":[{"slug":"*","region":"eu-west-1","invocations":4},{"slug":"hello","region":"eu-west-1","invocations":1234563}]}]}]}`

const usageText = `ORGANIZATION  PERIOD        PROJECT               FUNCTION  REGION     INVOCATIONS
-             2026-11                                                  0
acme          20261105+UTC                                             1,234,567
acme          20261105+UTC  abcdefghijklmnopqrst  *         eu-west-1  4
acme          20261105+UTC  abcdefghijklmnopqrst  hello     eu-west-1  1,234,563
`

func TestUsageShow(t *testing.T) {
	g := serve(t, 200, usageJSON)
	stdout, stderr, code := execute(t, "usage", "show", "--address", g.address(), "--period", "2026-11", "--org", "acme&co")
	if stdout != usageText || stderr != "" || code != 0 {
		t.Errorf("exit code %d, standard error %q, standard output\n%s", code, stderr, stdout)
	}
	if got := g.questions()[0]; got != "GET /edge_functions/usage?organization=acme%26co&period=2026-11" {
		t.Errorf("asked %s", got)
	}
	if stdout, _, _ := execute(t, "usage", "show", "--address", serve(t, 200, `{"organizations":[]}`).address()); stdout != "Nothing was used in that period.\n" {
		t.Errorf("%q", stdout)
	}
	if _, stderr, code := execute(t, "usage", "show", "--period", "november"); code != 2 || !strings.Contains(stderr, "write it as in 2026-11") {
		t.Errorf("%d, %s", code, stderr)
	}
}

const quotaJSON = `{"organizations":[
{"id":"acme","plan":"pro","period":{"id":"2026-11","start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"limit":2000000,"included":2000000,"used":1999999,"remaining":1,"state":"near","hard":true,"set":false,"held":[
{"gateway":"4f1c2a9b7d3e","units":1200,"seen":"2026-11-30T14:00:05Z","why":"it has said nothing for 43m0s","command":"edgegate quota release 4f1c2a9b7d3e"},
{"gateway":"5a","units":1,"why":"the store has lost what it used of them","command":"edgegate quota set acme LIMIT"}]},
{"id":"big","plan":"team","period":{"id":"2026-11","start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"limit":2000000,"included":2000000,"used":2400000,"remaining":0,"state":"over","hard":false,"set":false},
{"id":"free","plan":"","period":{"id":"2026-11","start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"limit":null,"included":null,"used":3,"remaining":null,"state":"ok","hard":false,"set":false},
{"id":"set","plan":"","period":{"id":"2026-11","start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"limit":0,"included":500000,"used":3,"remaining":0,"state":"restricted","hard":true,"set":true},
{"id":"soft","plan":"","period":{"id":"2026-11","start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"limit":3,"included":500000,"used":3,"remaining":0,"state":"over","hard":false,"set":true}]}`

const quotaText = `ORGANIZATION  PLAN  PERIOD ENDS       LIMIT             USED       REMAINING  STATE
acme          pro   2026-12-01 00:00  2,000,000         1,999,999  1          near
big           team  2026-12-01 00:00  2,000,000 (soft)  2,400,000  0          over
free          -     2026-12-01 00:00  -                 3          -          ok
set           -     2026-12-01 00:00  0 (set)           3          0          restricted
soft          -     2026-12-01 00:00  3 (set, soft)     3          0          over
acme: gateway 4f1c2a9b7d3e, last seen 2026-11-30 14:00:05, holds 1,200 of the remaining: it has said nothing for 43m0s. If it never comes back: edgegate quota release 4f1c2a9b7d3e
acme: gateway 5a, holds 1 of the remaining: the store has lost what it used of them. If it never comes back: edgegate quota set acme LIMIT
set: the limit was set by ` + "`quota set`" + `; bills still include 500,000 invocations, as the plan says
soft: the limit was set by ` + "`quota set`" + `; bills still include 500,000 invocations, as the plan says
`

func TestQuota(t *testing.T) {
	g := serve(t, 200, quotaJSON)
	for i, args := range [][]string{{"quota", "show"}, {"quota", "set", "acme", "3000000"}, {"quota", "set", "acme", "default"}} {
		stdout, stderr, code := execute(t, append(args, "--address", g.address())...)
		if stdout != quotaText || stderr != "" || code != 0 {
			t.Errorf("%q: exit code %d, standard error %q, standard output\n%s", args, code, stderr, stdout)
		}
		if want := []string{"", `{"limit":3000000,"organization":"acme"}`, `{"limit":null,"organization":"acme"}`}[i]; g.bodies()[i] != want {
			t.Errorf("%q: it sent %s", args, g.bodies()[i])
		}
	}
	if stdout, _, _ := execute(t, "quota", "show", "--address", serve(t, 200, `{"organizations":[]}`).address()); stdout != "No project has an organization.\n" {
		t.Errorf("%q", stdout)
	}
	for _, wrong := range []string{"3M", "-1", "1.5", "", "9007199254740992", "115292150460684698", "9223372036854775807", "9223372036854775808"} {
		if _, stderr, code := execute(t, "quota", "set", "acme", "--", wrong); code != 2 || !strings.Contains(stderr, "whole number of invocations from 0 to 9007199254740991") {
			t.Errorf("%q: %d, %s", wrong, code, stderr)
		}
	}
	if _, stderr, code := execute(t, "quota", "set", "acme"); code != 2 {
		t.Errorf("%d, %s", code, stderr)
	}
}

// An answer of a gateway whose store is away is printed as far as it goes, with exit code 3 and a line that says so.
func TestPartialAnswers(t *testing.T) {
	const partial = `"partial":"the store does not answer",`
	for _, tt := range []struct{ command, answer string }{{"quota", quotaJSON}, {"usage", `{"organizations":[{"id":"acme","period":{"id":"2026-11"},"invocations":5}]}`}} {
		address := serve(t, 200, "{"+partial+tt.answer[1:]).address()
		stdout, stderr, code := execute(t, tt.command, "show", "--address", address)
		if code != 3 || !strings.Contains(stdout, "acme") || !strings.HasPrefix(stderr, `{"error":"partial: the store does not answer","hint":"`) {
			t.Errorf("%s: exit code %d, standard error %q, standard output\n%s", tt.command, code, stderr, stdout)
		}
		if stdout, _, code := execute(t, tt.command, "show", "-o", "json", "--address", address); code != 3 || !strings.Contains(stdout, `"partial": "the store does not answer"`) {
			t.Errorf("%s: exit code %d, standard output\n%s", tt.command, code, stdout)
		}
	}
}
