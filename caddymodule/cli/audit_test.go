package cli

import (
	"strings"
	"testing"
)

const auditJSON = `{"ok":false,"findings":[
{"severity":"low","check":"unused_key","subject":"abcdefghijklmnopqrst ci","message":"never used","remedy":"remove it"},
{"severity":"high","check":"weak_secret","subject":"abcdefghijklmnopqrst","message":"a well-known secret","remedy":"make another"},
{"severity":"info","check":"verify_jwt","subject":"hello","message":"anyone may call it","remedy":""},
{"severity":"medium","check":"trusted_proxies","subject":"srv0","message":"not set","remedy":"set them"},
{"severity":"high","check":"on_demand","subject":"srv0","message":"no permission","remedy":"add it"}]}`

const auditText = `high    weak_secret  abcdefghijklmnopqrst
        a well-known secret
        Remedy: make another
high    on_demand  srv0
        no permission
        Remedy: add it
medium  trusted_proxies  srv0
        not set
        Remedy: set them
low     unused_key  abcdefghijklmnopqrst ci
        never used
        Remedy: remove it
info    verify_jwt  hello
        anyone may call it

5 findings: 2 high, 1 medium, 1 low, 1 info
`

func TestAudit(t *testing.T) {
	finding := func(severity string) string {
		return `{"findings":[{"severity":"` + severity + `","check":"c","subject":"s","message":"m","remedy":"r"}],"ok":true}`
	}
	text := func(severity, count string) string {
		return severity + strings.Repeat(" ", 8-len(severity)) + "c  s\n        m\n        Remedy: r\n\n1 finding: " + count + "\n"
	}
	for _, tc := range []struct {
		name   string
		args   []string
		answer string
		want   string
		code   int
	}{
		{"sorted by severity", nil, auditJSON, auditText, 1},
		{"nothing", nil, `{"findings":[],"ok":true}`, "No findings\n", 0},
		{"medium is a no", nil, finding("medium"), text("medium", "1 medium"), 1},
		{"low is none", nil, finding("low"), text("low", "1 low"), 0},
		{"medium when only high counts", []string{"--min-severity", "high"}, finding("medium"), text("medium", "1 medium"), 0},
		{"info when all counts", []string{"--min-severity", "info"}, finding("info"), text("info", "1 info"), 1},
		{"a severity of a newer gateway", []string{"--min-severity", "high"}, finding("fatal"), text("fatal", "1 high"), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, 200, tc.answer)
			args := append([]string{"audit", "--address", g.address()}, tc.args...)
			stdout, stderr, code := execute(t, args...)
			if code != tc.code || stderr != "" || stdout != tc.want {
				t.Errorf("exit code %d, standard error %q, got\n%s\nwant\n%s", code, stderr, stdout, tc.want)
			}
			if asked := g.questions(); len(asked) != 1 || asked[0] != "GET /edge_functions/audit" {
				t.Errorf("asked %q", asked)
			}
			stdout, _, code = execute(t, append(args, "-o", "json")...)
			if code != tc.code || compact(t, stdout) != compact(t, tc.answer) {
				t.Errorf("-o json: exit code %d, got\n%s", code, stdout)
			}
		})
	}
}
