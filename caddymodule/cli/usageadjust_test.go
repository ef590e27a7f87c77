package cli

import (
	"strings"
	"testing"
)

const adjustJSON = `{"adjustments":[
{"organization":"acme","project":"default","function":"hello","region":"eu","at":"2026-11-03T14:20:00Z","units":-1200,"reason":"outage\u001b[2J","operator":"ada","made":"2026-11-05T08:00:00Z","gateway":"4f1c2a9b7d3e","record":17}],
"period":{"id":"2026-11","start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},"before":31000,"after":29800}`

const adjustText = `MADE              OPERATOR  ORGANIZATION  PROJECT  FUNCTION  REGION  HOUR              UNITS   REASON
2026-11-05 08:00  ada       acme          default  hello     eu      2026-11-03 14:00  -1,200  outage\x1b[2J

acme is billed 29,800 invocations in 2026-11 now, 31,000 before.
`

func TestUsageAdjust(t *testing.T) {
	t.Setenv("SUDO_USER", "ada")
	t.Setenv("USER", "root")
	g := serve(t, 200, adjustJSON)
	where := []string{"--project", "default", "--function", "hello", "--region", "eu", "--address", g.address()}
	for i, args := range [][]string{
		{"acme", "-1200", "--reason", "outage", "--at", "2026-11-03T14:20:00Z"},
		{"--reason=-5", "-1200", "acme"},
		{"--reason", "-7", "acme", "1200", "--operator", "bob"},
		{"--reason", "x", "--", "acme", "-3"},
	} {
		args = append([]string{"usage", "adjust"}, append(where, args...)...)
		stdout, stderr, code := execute(t, args...)
		if stdout != adjustText || stderr != "" || code != 0 {
			t.Errorf("%q: %d, standard error %q, standard output\n%s", args, code, stderr, stdout)
			continue
		}
		want := []string{
			`{"at":"2026-11-03T14:20:00Z","function":"hello","operator":"ada","organization":"acme","project":"default","reason":"outage","region":"eu","units":-1200}`,
			`{"function":"hello","operator":"ada","organization":"acme","project":"default","reason":"-5","region":"eu","units":-1200}`,
			`{"function":"hello","operator":"bob","organization":"acme","project":"default","reason":"-7","region":"eu","units":1200}`,
			`{"function":"hello","operator":"ada","organization":"acme","project":"default","reason":"x","region":"eu","units":-3}`,
		}[i]
		if got := g.bodies()[i]; got != want {
			t.Errorf("%q: it sent %s, want %s", args, got, want)
		}
	}
	stdout, _, code := execute(t, "usage", "adjust", "--list", "--period", "2026-11", "--org", "acme", "--address", g.address())
	if code != 0 || !strings.Contains(stdout, "-1,200") {
		t.Errorf("%d, %s", code, stdout)
	}
	if got := g.questions()[4]; got != "GET /edge_functions/usage/adjust?organization=acme&period=2026-11" {
		t.Errorf("asked %s", got)
	}
	if stdout, _, _ := execute(t, "usage", "adjust", "--list", "--address", serve(t, 200, `{"adjustments":[]}`).address()); stdout != "Nothing was adjusted.\n" {
		t.Errorf("%q", stdout)
	}
	if stdout, _, code := execute(t, "usage", "adjust", "--help"); code != 0 || !strings.Contains(stdout, "nothing is changed or removed") {
		t.Errorf("%d, %s", code, stdout)
	}
}

func TestUsageAdjustRefuses(t *testing.T) {
	t.Setenv("SUDO_USER", "")
	t.Setenv("USER", "")
	whole := []string{"--project", "p", "--function", "f", "--region", "eu", "--reason", "why", "--operator", "ada"}
	for want, args := range map[string][]string{
		`\"0\" is no number`:             append([]string{"acme", "0"}, whole...),
		`\"4294967296\" is no number`:    append([]string{"acme", "4294967296"}, whole...),
		`\"-4294967296\" is no number`:   append([]string{"acme", "-4294967296"}, whole...),
		`\"1.5\" is no number`:           append([]string{"acme", "1.5"}, whole...),
		"adjust takes ORG and UNITS":     append([]string{"acme"}, whole...),
		"--operator is missing":          append([]string{"acme", "1", "--operator", ""}, whole[:8]...),
		"--reason is missing":            append([]string{"acme", "1"}, whole[:6]...),
		"--region is missing":            append([]string{"acme", "1"}, whole[:4]...),
		`--at \"now\" is no time`:        append([]string{"acme", "1", "--at", "now"}, whole...),
		"--period and --org are for":     append([]string{"acme", "1", "--period", "2026-11"}, whole...),
		"adjust --list takes no":         {"--list", "acme"},
		`--period \"nov\" is no month`:   {"--list", "--period", "nov"},
		"did you mean --reason?":         {"acme", "1", "--reasn", "x"},
		"adjust takes ORG and UNITS, go": {"acme", "1", "2"},
	} {
		if stdout, stderr, code := execute(t, append([]string{"usage", "adjust"}, args...)...); code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: %d, %s, want %s", args, code, stderr, want)
		}
	}
	refused := serve(t, 400, `{"error":"organization \"acne\": no project in force has it (did you mean \"acme\"?)"}`)
	args := append([]string{"usage", "adjust", "acne", "1", "--address", refused.address()}, whole...)
	if _, stderr, code := execute(t, args...); code != 1 || !strings.Contains(stderr, "did you mean") || !strings.Contains(stderr, "nothing was adjusted") {
		t.Errorf("%d, %s", code, stderr)
	}
}
