package cli

import (
	"bytes"
	"strings"
	"testing"
)

const dailyJSON = `{"organizations":[{"id":"acme","period":{"id":"2026-11"},"invocations":1007,"projects":[],
"daily":[{"date":"2026-11-01","invocations":1000},{"date":"2026-11-02","invocations":0},{"date":"2026-11-03","invocations":7}]}]}`

const dailyText = `ORGANIZATION  PERIOD   PROJECT  FUNCTION  REGION  INVOCATIONS
acme          2026-11                             1,007

Invocations of acme a day
2026-11-01 1,000  ██████████████████████████████████████████████████████████████
2026-11-02     0
2026-11-03     7  ▍
`

func TestUsageShowDaily(t *testing.T) {
	for _, locale := range []struct{ all, lang string }{{"", "en_US.UTF-8"}, {"de_DE.utf8", "C"}, {"", "C"}} {
		t.Setenv("LC_ALL", locale.all)
		t.Setenv("LC_CTYPE", "")
		t.Setenv("LANG", locale.lang)
		g := serve(t, 200, dailyJSON)
		stdout, stderr, code := execute(t, "usage", "show", "--daily", "--address", g.address())
		want := dailyText
		if locale.lang == "C" && locale.all == "" {
			want = strings.NewReplacer("█", "#", "▍", "#").Replace(want)
		}
		if stdout != want || stderr != "" || code != 0 {
			t.Errorf("%+v: %d, %q\n%s", locale, code, stderr, stdout)
		}
		if got := g.questions()[0]; got != "GET /edge_functions/usage?daily=true" {
			t.Errorf("asked %s", got)
		}
	}
	// What is no terminal is not asked to draw.
	g := serve(t, 200, `{"organizations":[]}`)
	if _, _, code := execute(t, "usage", "show", "--address", g.address()); code != 0 || g.questions()[0] != "GET /edge_functions/usage" {
		t.Errorf("%d, %q", code, g.questions())
	}
}

func TestBars(t *testing.T) {
	for _, tt := range []struct {
		name   string
		screen screen
		rows   []bar
		want   string
	}{
		{"eighths", screen{20, true}, []bar{{"a", 80}, {"b", 1}, {"c", 0}, {"d", 41}}, "a 80  ██████████████\nb  1  ▏\nc  0\nd 41  ███████▏\n"},
		{"ASCII", screen{20, false}, []bar{{"a", 80}, {"b", 1}, {"d", 40}}, "a 80  ##############\nb  1  #\nd 40  #######\n"},
		{"too narrow", screen{1, false}, []bar{{"day", 1}}, "day 1  ##########\n"},
		{"nothing", screen{80, true}, []bar{{"day", 0}}, "day 0\n"},
	} {
		var out bytes.Buffer
		if tt.screen.bars(&out, tt.rows); out.String() != tt.want {
			t.Errorf("%s:\n%s", tt.name, out.String())
		}
	}
}
