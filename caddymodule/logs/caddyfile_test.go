package logs

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestEncoderUnmarshalCaddyfile(t *testing.T) {
	for name, tt := range map[string]struct{ text, wrap, err string }{
		"the default":       {"edge_functions", "", ""},
		"a wrapped encoder": {"edge_functions {\nwrap console\n}", `{"format":"console"}`, ""},
		"its options":       {"edge_functions {\nwrap console {\ntime_format iso8601\n}\n}", `{"format":"console","time_format":"iso8601"}`, ""},
		"an argument":       {"edge_functions console", "", `format edge_functions: unexpected "console"`},
		"none to wrap":      {"edge_functions {\nwrap\n}", "", "wrap: the encoder is missing; write `wrap console`"},
		"an unknown one":    {"edge_functions {\nwrap consol\n}", "", `wrap "consol": allowed are append, console,`},
		"a wrong option":    {"edge_functions {\nwrap console {\ncolour red\n}\n}", "", "colour"},
		"not an option":     {"edge_functions {\nwraps console\n}", "", `unknown option "wraps" (did you mean "wrap"?)`},
	} {
		t.Run(name, func(t *testing.T) {
			e := new(Encoder)
			err := e.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.text))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if err == nil && string(e.WrappedRaw) != tt.wrap {
				t.Errorf("wraps %s, want %s", e.WrappedRaw, tt.wrap)
			}
		})
	}
}

func TestEncoderProvision(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	e := &Encoder{WrappedRaw: []byte(`{"format":"nothing"}`)}
	if err := e.Provision(ctx); err == nil || !strings.Contains(err.Error(), "loading the encoder that edge_functions wraps") {
		t.Errorf("an unknown encoder: %v", err)
	}
}

// Only the default may be the format for terminals, and only of a log that is written to one.
func TestConfigureDefaultFormat(t *testing.T) {
	for name, config := range map[string]string{
		"the default":                  `{}`,
		"an encoder without a default": `{"wrap":{"format":"json"}}`,
		"a filter, which has one":      `{"wrap":{"format":"filter","fields":{"request>method":{"filter":"delete"}}}}`,
	} {
		e := newLogEncoder(t, config)
		if err := e.ConfigureDefaultFormat(caddy.DiscardWriter{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := lines(t, e, "hello", zap.String("token", marker)); !strings.Contains(got, `"msg":"hello"`) || strings.Contains(got, marker) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What cannot be JSON is an error of the field, and no line is lost for it.
func TestUnencodableFields(t *testing.T) {
	got := lines(t, newLogEncoder(t, `{}`), "hello", zap.Reflect("f", func() {}), zap.Array("list", zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		return enc.AppendReflected(func() {})
	})))
	if strings.Count(got, `"msg":"hello"`) != 3 || !strings.Contains(got, "encoding a field of the log") {
		t.Error(got)
	}
}

// failing is a writer of the standard logger that fails.
type failing struct{}

var errFailing = errors.New("full")

func (failing) Write([]byte) (int, error) { return 0, errFailing }

func TestStandardLoggerFails(t *testing.T) {
	for _, line := range []string{"a line\n", unsolicited + " starting with \"x\"\n"} {
		if n, err := (backendBytesFilter{failing{}}).Write([]byte(line)); n != 0 || !errors.Is(err, errFailing) {
			t.Errorf("%q: %d, %v", line, n, err)
		}
	}
}
