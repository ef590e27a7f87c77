package options

import (
	"os"
	"strings"
	"testing"
)

func TestResolveSecret(t *testing.T) {
	t.Setenv("EDGEGATE_A", "alpha")
	t.Setenv("EDGEGATE_B", "be{ta}")
	t.Setenv("EDGEGATE_EMPTY", "")
	t.Setenv("EDGEGATE_BLANK", " \n")
	t.Setenv("EDGEGATE_UNSET", "")
	if err := os.Unsetenv("EDGEGATE_UNSET"); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ text, want, wrong string }{
		"no placeholder":                      {text: "secret", want: "secret"},
		"one":                                 {text: "{env.EDGEGATE_A}", want: "alpha"},
		"two and text":                        {text: "x{env.EDGEGATE_A}-{env.EDGEGATE_A}y", want: "xalpha-alphay"},
		"braces of a value stay":              {text: "{env.EDGEGATE_B}", want: "be{ta}"},
		"braces of a secret stay":             {text: `a{b}c\{d{`, want: `a{b}c\{d{`},
		"a value is not filled in again":      {text: "{env.EDGEGATE_A}{b}", want: "alpha{b}"},
		"unset":                               {text: "{env.EDGEGATE_UNSET}", wrong: "the environment variable EDGEGATE_UNSET is not set or empty"},
		"empty":                               {text: "{env.EDGEGATE_EMPTY}", wrong: "the environment variable EDGEGATE_EMPTY is not set or empty"},
		"unset beside text":                   {text: "x{env.EDGEGATE_UNSET}", wrong: "the environment variable EDGEGATE_UNSET is not set or empty"},
		"set and unset":                       {text: "{env.EDGEGATE_A}{env.EDGEGATE_UNSET}", wrong: "the environment variable EDGEGATE_UNSET is not set or empty"},
		"no name":                             {text: "{env.}", wrong: "{env.} names no variable"},
		"only blanks":                         {text: "{env.EDGEGATE_BLANK}", wrong: "must not be empty"},
		"nothing":                             {text: "", wrong: "must not be empty"},
		"a file, which validate may not open": {text: "{file./run/secrets/jwt}", wrong: "{file./run/secrets/jwt} is not filled in here; use {env.NAME}"},
		"something everybody can guess":       {text: "{system.hostname}", wrong: "{system.hostname} is not filled in here; use {env.NAME}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ResolveSecret(tt.text)
			switch {
			case tt.wrong == "" && (err != nil || got != tt.want):
				t.Errorf("ResolveSecret(%q) = %q, %v, want %q", tt.text, got, err, tt.want)
			case tt.wrong != "" && (err == nil || err.Error() != tt.wrong || got != ""):
				t.Errorf("ResolveSecret(%q) = %q, %v, want the error %q", tt.text, got, err, tt.wrong)
			}
		})
	}
}

// FuzzResolveSecret: text without the beginning of a placeholder is a secret as it is, byte for byte.
func FuzzResolveSecret(f *testing.F) {
	for _, seed := range []string{"secret", "{env.X}", "a{b}c", `\{`, "{{", "{env.", "{file.x}", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ResolveSecret(text)
		if err != nil && got != "" {
			t.Errorf("%q came with the error %v", got, err)
		}
		if !strings.Contains(text, "{") && strings.TrimSpace(text) != "" && (err != nil || got != text) {
			t.Errorf("ResolveSecret(%q) = %q, %v", text, got, err)
		}
	})
}
