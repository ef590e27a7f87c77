package logs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/zapcore"
)

// Which encoders mask what requests carry, whatever they are wrapped in.
func TestExposes(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
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
		var raw map[string]any
		if err := json.Unmarshal([]byte(config), &raw); err != nil {
			t.Fatal(err)
		}
		format, _ := raw["format"].(string)
		delete(raw, "format")
		inner, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		module, err := ctx.LoadModuleByID("caddy.logging.encoders."+format, inner)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		core := zapcore.NewCore(module.(zapcore.Encoder), zapcore.AddSync(&out), zapcore.InfoLevel)
		if got := !Exposes(zapcore.NewTee(core, zapcore.NewNopCore())); got != safe || out.Len() > 0 {
			t.Errorf("%s: taken for safe: %v; it wrote %q", config, got, out.String())
		}
	}
	if Exposes(zapcore.NewNopCore()) {
		t.Error("a log that goes nowhere shows nothing")
	}
}
