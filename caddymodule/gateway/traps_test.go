package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite" // uri and handle_path
)

// A Caddyfile that is valid and yet reaches no function is warned of, with its line.
func TestTraps(t *testing.T) {
	load(t, appConfig(goodApp)) // whose log gets the warnings
	for name, tc := range map[string]struct{ site, want string }{
		"the prefix alone":       {"edge_functions /functions/v1", "is that path alone, so no function is reached; write `edge_functions /functions/v1/*`"},
		"with a slash":           {"edge_functions /functions/v1/", "the matcher /functions/v1/ is that path alone"},
		"all below it":           {"edge_functions /functions/v1/*", ""},
		"everything":             {"edge_functions", ""},
		"another path":           {"edge_functions /api", ""},
		"a handle_path":          {"handle_path /functions/v1/* {\nedge_functions\n}", "handle_path /functions/v1/*: takes /functions/v1 away before edge_functions sees the path"},
		"one above a route":      {"handle_path /functions/* {\nroute {\nedge_functions\n}\n}", "handle_path /functions/*: takes"},
		"one of another path":    {"handle_path /api/* {\nedge_functions\n}", ""},
		"one of one function":    {"handle_path /functions/v1/hello/* {\nedge_functions\n}", "handle_path /functions/v1/hello/*"},
		"a handle":               {"handle /functions/v1/* {\nedge_functions\n}", ""},
		"strip_prefix beside":    {"handle /functions/v1/* {\nuri strip_prefix /functions/v1\nedge_functions\n}", "uri strip_prefix: takes /functions/v1 away"},
		"with a matcher":         {"route {\nuri /functions/* strip_prefix /functions\nedge_functions\n}", "uri strip_prefix: takes"},
		"another prefix beside":  {"route {\nuri strip_prefix /api\nedge_functions\n}", ""},
		"a suffix that is taken": {"route {\nuri strip_suffix /functions/v1\nedge_functions\n}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			logged.forget()
			text := "{\nedge_functions {\nregion us-east-1 {\nbackend http://127.0.0.1:9\n}\n" + public("hello") + "}\n}\n:80 {\n" + tc.site + "\n}\n"
			path := filepath.Join(t.TempDir(), "Caddyfile") // it is read again for the lines round the directive
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": path}); err != nil {
				t.Fatal(err)
			}
			warnings := logged.having("config.adapter.caddyfile")
			if tc.want == "" {
				if len(warnings) > 0 {
					t.Errorf("warnings %q", warnings)
				}
				return
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], tc.want) || !strings.Contains(warnings[0], `"line":`) {
				t.Errorf("warnings %q, want one with its line: %s", warnings, tc.want)
			}
		})
	}
}
