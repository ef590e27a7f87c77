package audit

import (
	"encoding/json"
	"strings"
	"testing"
)

// What the start takes for safe (logs.Exposes) is what the audit of a configuration does.
func TestExposingLogsAreFound(t *testing.T) {
	shipped := `"fields":{"request>headers":{"filter":"delete"},"request>uri":{"filter":"query","actions":[]}}`
	for config, safe := range map[string]bool{
		`{"format":"json"}`:                                                    false,
		`{"format":"console"}`:                                                 false,
		`{"format":"edge_functions"}`:                                          true,
		`{"format":"edge_functions","wrap":{"format":"console"}}`:              true,
		`{"format":"append","wrap":{"format":"edge_functions"}}`:               true,
		`{"format":"journald","wrap":{"format":"edge_functions"}}`:             true,
		`{"format":"journald","wrap":{"format":"json"}}`:                       false,
		`{"format":"append","wrap":{"format":"json"}}`:                         false,
		`{"format":"filter","wrap":{"format":"json"},` + shipped + `}`:         true,
		`{"format":"filter","fields":{"request>headers":{"filter":"delete"}}}`: false,
		// Caddy's filter hides from the inner encoder what are headers.
		`{"format":"filter","wrap":{"format":"edge_functions"}}`: false,
	} {
		var encoder map[string]any
		if err := json.Unmarshal([]byte(config), &encoder); err != nil {
			t.Fatal(err)
		}
		found := ofLogs(map[string]any{"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"encoder": encoder}}}})
		if len(found) == 0 != safe {
			t.Errorf("%s: the audit finds %v", config, found)
		}
	}
}

func TestAuditOfLogs(t *testing.T) {
	for name, tt := range map[string]struct{ config, want string }{
		"none":             {`{}`, "log_secrets log default"},
		"safe":             {`{"logging":{"logs":{"default":{"encoder":{"format":"edge_functions"}}}}}`, ""},
		"discarded":        {`{"logging":{"logs":{"default":{"writer":{"output":"discard"}}}}}`, ""},
		"of a site":        {`{"logging":{"logs":{"default":{"encoder":{"format":"edge_functions"}},"log0":{"include":["http.log.access.log0"]}}}}`, "log_secrets log log0"},
		"not of requests":  {`{"logging":{"logs":{"default":{"exclude":["http"]},"admin":{"include":["admin"]}}}}`, ""},
		"access taken out": {`{"logging":{"logs":{"default":{"exclude":["http.log.access"]}}}}`, "log_secrets log default"},
		"with credentials": {`{"logging":{"logs":{"default":{"encoder":{"format":"edge_functions"}}}},"apps":{"http":{"servers":{"srv0":{"logs":{"should_log_credentials":true}}}}}}`, "log_credentials server srv0"},
	} {
		var config map[string]any
		if err := json.Unmarshal([]byte(tt.config), &config); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range ofLogs(config) {
			got = append(got, f.Check+" "+f.Subject)
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
