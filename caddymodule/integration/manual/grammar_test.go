//go:build e2e

package manual

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/edgegate/edgegate/caddymodule"
)

// openers are lines of grammars that a block follows, as somebody would write them.
var openers = map[string]string{
	"":                                "",
	"edge_functions":                  "edge_functions",
	"edge_functions [<matcher>]":      "edge_functions",
	"cors":                            "cors",
	"nearest gateway|client":          "nearest gateway",
	"region <name>":                   "region eu-central-1",
	"dynamic a [<name> [<port>]]":     "dynamic a runtime 9000",
	"dynamic srv [<name>]":            "dynamic srv runtime.example.com",
	"tls":                             "tls",
	"locate":                          "locate",
	"invocation_log":                  "invocation_log",
	"tracing":                         "tracing",
	"plan <name>":                     "plan pro",
	"project default":                 "project default",
	"function <slug>|*":               "function hello",
	"store embedded [<directory>]":    "store embedded",
	"store redis <url> [<directory>]": "store redis redis://127.0.0.1:6379",
	"export file <directory>":         "export file /var/lib/edgegate/usage",
	"export stripe":                   "export stripe",
	"export webhook <url>":            "export webhook https://billing.example.com/usage",
	"api_key publishable|secret <key>|sha256:<hex> [<name>]": "api_key publishable sb_publishable_abc",
}

// around is what the blocks of a grammar stand in that the page does not repeat.
var around = map[string][]string{
	"":                           nil,
	"edge_functions [<matcher>]": {"http://localhost:8000"},
	"project default":            {"", "edge_functions"},
	"edge_functions_health [<matcher>] [live|ready]": {"http://localhost:8000"},
	"dynamic a [<name> [<port>]]":                    {"", "edge_functions", "region eu-central-1"},
	"dynamic srv [<name>]":                           {"", "edge_functions", "region eu-central-1"},
	"function <slug>|*":                              {"", "edge_functions", "project default"},
}

// checkGrammar asks the parser for each option of a grammar whether it knows it, at its place.
func checkGrammar(b block) (errs []error) {
	var outer []string
	for i, raw := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		text := strings.TrimSpace(raw)
		words, opens := strings.CutSuffix(text, "{")
		words = strings.TrimSpace(words)
		name, _, _ := strings.Cut(words, " ")
		if i == 0 {
			lead, ok := around[words]
			if !ok {
				return []error{fmt.Errorf("%s: where does %q stand? Add it to around in caddymodule/integration/manual/grammar_test.go", b.at(0), words)}
			}
			outer = append(outer, lead...)
		}
		switch {
		case text == "" || text == "...":
			continue
		case text == "}":
			outer = outer[:max(0, len(outer)-1)]
			continue
		case name != "" && len(outer) > 0:
			if err := knownOption(outer, name); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", b.at(i), err))
			}
		}
		if opens {
			instance, ok := openers[words]
			if !ok {
				return append(errs, fmt.Errorf("%s: what would somebody write for %q? Add it to openers in caddymodule/integration/manual/grammar_test.go", b.at(i), words))
			}
			outer = append(outer, instance)
		}
	}
	return errs
}

// knownOption adapts a Caddyfile with the bare option in the blocks outer. It may be an error, but not that it is unknown.
func knownOption(outer []string, name string) error {
	text := strings.Join(outer, " {\n") + " {\n" + name + "\n" + strings.Repeat("}\n", len(outer))
	if outer[0] != "" {
		text = "{\nedge_functions {\n" + anyRegion + anyProject + "}\n}\n" + text
	}
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err == nil {
		return nil
	}
	for _, unknown := range []string{"unknown option", "unrecognized", "not in this build", "unexpected \"" + name + "\""} {
		if strings.Contains(err.Error(), unknown) {
			return fmt.Errorf("%s is no option of %q: %w", name, outer[len(outer)-1], err)
		}
	}
	return nil
}
