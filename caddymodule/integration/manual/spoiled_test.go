//go:build e2e

package manual

import (
	"errors"
	"strings"
	"testing"
)

// TestSpoiled shows that a mistake in a paper is found: each page here has one, and beside each is what it would be without it.
func TestSpoiled(t *testing.T) {
	binary := build(t)
	dir := t.TempDir()
	caddyfile := func(text string) error { return checkCaddyfile(binary, dir, block{page: "x.md", line: 1, text: text}) }
	grammar := func(text string) error { return errors.Join(checkGrammar(block{page: "x.md", line: 1, text: text})...) }
	document := func(text string) error { return checkJSON(binary, dir, block{page: "x.md", line: 1, text: text}) }
	named := func(text string) error { return checkNames(binary, text) }
	fences := func(text string) error {
		p, err := readPage("x.md", text)
		for _, b := range p.blocks {
			err = errors.Join(err, classified(b))
		}
		return err
	}
	followed := func(text string) error {
		p, err := readPage("x.md", text)
		if err != nil {
			return err
		}
		return errors.Join(follow(newSession(t), p, script{page: "x.md", rules: []rule{
			{command: "edgegate list-modules", output: exact},
			{command: "true"},
			{command: "edgegate simulate", do: names, reason: "it takes long"},
		}})...)
	}
	const modules = "```console\n$ edgegate list-modules | grep 'handlers.edge_functions$'\nhttp.handlers.edge_functions\n$ true\n$ edgegate simulate\n```\n"
	for name, c := range map[string]struct {
		check         func(string) error
		good, spoiled string
	}{
		"an option that is none":             {caddyfile, "rate_limit project 200/s\n", "rate_limit projects 200/s\n"},
		"a misspelt option of a block":       {caddyfile, "function hello {\n\tverify_jwt off\n}\n", "function hello {\n\tverify_jtw off\n}\n"},
		"an option that no room is known of": {caddyfile, "locate {\n\theader CF-IPCountry\n}\n", "locates {\n\theader CF-IPCountry\n}\n"},
		"a whole Caddyfile":                  {caddyfile, "{\n\tgrace_period 5s\n}\n", "{\n\tgrace_periods 5s\n}\n"},
		"a site":                             {caddyfile, "https://a.example {\n\tedge_functions\n}\n", "https://a.example {\n\tedge_function\n}\n"},
		"spaces for a tab":                   {caddyfile, "function hello {\n\tverify_jwt off\n}\n", "function hello {\n    verify_jwt off\n}\n"},
		"a variable without a value":         {caddyfile, "jwt_secret {env.JWT_SECRET}\n", "jwt_secret {env.UNHEARD_OF}\n"},
		"a grammar's option":                 {grammar, "function <slug>|* {\n\tcors auto|function\n}\n", "function <slug>|* {\n\tcros auto|function\n}\n"},
		"a grammar's block":                  {grammar, "project default {\n\tcors {\n\t\torigin <origin...>\n\t}\n}\n", "project default {\n\tcors {\n\t\torigins <origin...>\n\t}\n}\n"},
		"JSON":                               {document, `{"ok":true}`, `{"ok":true,}`},
		"a projects file": {
			document, `{"projects":[{"ref":"abcdefghijklmnopqrst","functions":[{"slug":"a"}]}]}`,
			`{"projects":[{"ref":"abcdefghijklmnopqrst","functions":[{"slog":"a"}]}]}`,
		},
		"a command":                 {named, "edgegate usage show --daily", "edgegate usage shows --daily"},
		"a flag":                    {named, "edgegate explain [--region R] [--down R,...]", "edgegate explain [--regions R]"},
		"a flag of Caddy's":         {named, "edgegate run --config Caddyfile", "edgegate run --conf Caddyfile"},
		"a target":                  {named, "make quick", "make quickly"},
		"a benchmark":               {named, "go test -run '^$' -bench Admit ./routing", "go test -run '^$' -bench Admits ./routing"},
		"a package":                 {named, "go test -run Model ./ratelimit/quota", "go test -run Model ./ratelimit/quotas"},
		"a file that curl sends":    {named, "curl $api -d @configs/stripe/meter-overage.form", "curl $api -d @configs/stripe/meter.form"},
		"a language":                {fences, "```json\n{}\n```\n", "```jsonc\n{}\n```\n"},
		"a block without one":       {fences, "```json\n{}\n```\n", "```\nwhatever\n```\n"},
		"a fence that is not shut":  {fences, "```json\n{}\n```\n", "```json\n{}\n"},
		"output":                    {followed, modules, strings.Replace(modules, "http.handlers", "http.handler", 1)},
		"more output":               {followed, modules, strings.Replace(modules, "edge_functions\n$ true", "edge_functions\nedge_functions.more\n$ true", 1)},
		"a command without a rule":  {followed, modules, strings.Replace(modules, "$ true", "$ uname", 1)},
		"a command that fails":      {followed, modules, strings.Replace(modules, "$ true", "$ true && false", 1)},
		"a command that is gone":    {followed, modules, strings.Replace(modules, "$ true\n", "", 1)},
		"output without a command":  {followed, modules, strings.Replace(modules, "$ edgegate list", "edgegate list", 1)},
		"a flag of what is not run": {followed, modules, strings.Replace(modules, "simulate\n", "simulate --rrt x\n", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.check(c.good); err != nil {
				t.Errorf("the good one is refused: %v", err)
			}
			if err := c.check(c.spoiled); err == nil {
				t.Errorf("nobody minds\n%s", c.spoiled)
			}
		})
	}
}
