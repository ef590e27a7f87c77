package options

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// on returns a dispenser that stands on the first word of a line, as Block calls the readers of options.
func on(line string) *caddyfile.Dispenser {
	d := caddyfile.NewTestDispenser(line)
	d.Next()
	return d
}

// expect fails unless an error has the text; "" stands for no error.
func expect(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("unexpected error %v", err)
	case text != "" && err == nil:
		t.Errorf("no error, want %q", text)
	case text != "" && !strings.Contains(err.Error(), text):
		t.Errorf("error %q, want %q", err, text)
	}
}

func TestBlock(t *testing.T) {
	for name, tt := range map[string]struct {
		block string
		want  string // the text of the error
	}{
		"every option":           {"{\nname a\nbatch 5\nregion x\nregion y\n}", ""},
		"no block":               {"", ""},
		"unknown, near":          {"{\nnam a\n}", `unknown option "nam" (did you mean "name"?)`},
		"unknown, of Caddy's":    {"{\nlb_policy random\n}", `unknown option "lb_policy"; edge_functions chooses the nearest region`},
		"unknown, of elsewhere":  {"{\nverify_jwt off\n}", "it belongs into a function: `function NAME { ... }`"},
		"unknown, nothing near":  {"{\nsomething\n}", `unknown option "something"; options here: batch, name, region`},
		"of a later version":     {"{\nfuture x\n}", "future: not in this build; see docs/roadmap.md"},
		"given twice":            {"{\nname a\nname b\n}", "name: given twice, keep one"},
		"a block that is none":   {"{\nname a {\n}\n}", "name: takes no block"},
		"an error of the reader": {"{\nbatch many\n}", `batch "many": must be a whole number from 0`},
	} {
		t.Run(name, func(t *testing.T) {
			var text string
			var batch int
			var regions []string
			expect(t, Block(on("module "+tt.block), Table{
				"name":   func(d *caddyfile.Dispenser) error { return String(d, &text) },
				"batch":  func(d *caddyfile.Dispenser) error { return Number(d, &batch) },
				"region": func(d *caddyfile.Dispenser) error { return Strings(d, &regions) },
				"future": nil,
			}), tt.want)
			if name == "every option" && (text != "a" || batch != 5 || !slices.Equal(regions, []string{"x", "y"})) {
				t.Errorf("read %q, %d, %q", text, batch, regions)
			}
		})
	}
	expect(t, Block(on("module {\nname a\n}"), Table{}), "there are none here in this build")
}

// Every value that is read, and every error with what is to be written instead.
func TestReaders(t *testing.T) {
	var (
		text  string
		list  []string
		flag  bool
		wait  caddy.Duration
		bytes int64
		n     int
		count int64
		at    *time.Time
	)
	str := func(d *caddyfile.Dispenser) error { return String(d, &text) }
	oneOf := func(d *caddyfile.Dispenser) error { return OneOf(d, &text, "keep", "text/plain") }
	onOff := func(d *caddyfile.Dispenser) error { return OnOff(d, &flag) }
	dur := func(d *caddyfile.Dispenser) error { return Duration(d, &wait) }
	size := func(d *caddyfile.Dispenser) error { return Size(d, &bytes) }
	number := func(d *caddyfile.Dispenser) error { return Number(d, &n) }
	counted := func(d *caddyfile.Dispenser) error { return Count(d, &count, 1000) }
	moment := func(d *caddyfile.Dispenser) error { return Time(d, &at) }
	zone := func(d *caddyfile.Dispenser) error { return TimeZone(d, &text) }
	several := func(d *caddyfile.Dispenser) error { return Strings(d, &list) }
	for _, tt := range []struct {
		line string
		read func(*caddyfile.Dispenser) error
		want string
	}{
		{"name billing", str, ""},
		{"name", str, "name: wrong number of arguments (0); write `name billing`"},
		{"name a b", str, "name: wrong number of arguments (2)"},
		{`name ""`, str, "name: must not be empty; write `name billing`"},
		{"name {env.X}", str, "name: {env.X} is filled in only in `dynamic`, keys, secrets"},
		{"of_another_module", str, "of_another_module: wrong number of arguments (0)"},
		{"regions a b", several, ""},
		{"regions", several, "regions: wrong number of arguments (0)"},
		{"html keep", oneOf, ""},
		{"html kep", oneOf, `html "kep": allowed are keep, text/plain (did you mean "keep"?)`},
		{"html", oneOf, "html: wrong number"},
		{"verify_jwt on", onOff, ""},
		{"verify_jwt yes", onOff, `verify_jwt "yes": allowed are on, off`},
		{"idle_timeout 150s", dur, ""},
		{"idle_timeout", dur, "idle_timeout: wrong number"},
		{"idle_timeout -1s", dur, `idle_timeout "-1s": must be a positive duration such as 150s`},
		{"idle_timeout soon", dur, `idle_timeout "soon": must be a positive duration such as 150s`},
		{"max_body 100MB", size, ""},
		{"max_body", size, "max_body: wrong number"},
		{"max_body 0", size, `max_body "0": must be a size such as 100MB`},
		{"max_body much", size, `max_body "much": must be a size such as 100MB`},
		{"batch 100", number, ""},
		{"batch", number, "batch: wrong number"},
		{"batch -1", number, `batch "-1": must be a whole number from 0`},
		{"batch 9999999999", number, `batch "9999999999": must be a whole number from 0`},
		{"weight 2", counted, ""},
		{"weight", counted, "weight: wrong number"},
		{"weight 0", counted, `weight "0": must be a whole number from 1 to 1000`},
		{"weight 1001", counted, `weight "1001": must be a whole number from 1 to 1000`},
		{"cycle_start 2026-11-05T00:00:00Z", moment, ""},
		{"cycle_start", moment, "cycle_start: wrong number"},
		{"cycle_start tomorrow", moment, `cycle_start "tomorrow": must be a time such as 2027-01-31T00:00:00Z`},
		{"time_zone Europe/Berlin", zone, ""},
		{"time_zone", zone, "time_zone: wrong number"},
		{"time_zone Local", zone, `time_zone "Local": must be an IANA time zone such as Europe/Berlin`},
		{"time_zone Mars/Olympus", zone, `time_zone "Mars/Olympus": must be an IANA time zone such as Europe/Berlin`},
	} {
		t.Run(tt.line, func(t *testing.T) { expect(t, tt.read(on(tt.line)), tt.want) })
	}
	if !slices.Equal(list, []string{"a", "b"}) || !flag || wait != caddy.Duration(150*time.Second) || bytes != 100_000_000 || n != 100 ||
		count != 2 || !at.Equal(time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("read %q, %v, %v, %d, %d, %d, %v", list, flag, wait, bytes, n, count, at)
	}
}

func TestCoordinates(t *testing.T) {
	for _, tt := range []struct{ lat, lon, want string }{
		{"52.5", "13.4", ""},
		{"-90", "180", ""},
		{"90.1", "0", "must be a latitude"},
		{"0", "-181", "must be a latitude"},
		{"NaN", "0", "must be a latitude"},
		{"north", "0", "coordinates north 0: must be a latitude"},
	} {
		lat, lon, err := Coordinates(on("coordinates"), "coordinates", []string{tt.lat, tt.lon})
		expect(t, err, tt.want)
		if err != nil && (lat != 0 || lon != 0) {
			t.Errorf("%s %s: read %v, %v in spite of %v", tt.lat, tt.lon, lat, lon, err)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := OneLine(errors.Join(errors.New("a"), errors.New("b"))); got != "a; b" {
		t.Errorf("%q", got)
	}
}

func TestForm(t *testing.T) {
	if got := Form("plan"); got != "plan pro" {
		t.Errorf("%q", got)
	}
	if got := Form("of_another_module"); got != "" {
		t.Errorf("%q", got)
	}
	for option, form := range forms {
		if option != "file" && !strings.HasPrefix(form, option+" ") {
			t.Errorf("the form of %s is %q", option, form)
		}
	}
}

// An option is either one of another proxy's or belongs into another block.
func TestHintsAreUnambiguous(t *testing.T) {
	for option := range places {
		if habits[option] != "" {
			t.Errorf("%s has two hints", option)
		}
	}
}

// caddyfileAt writes a Caddyfile and returns a dispenser on its first word.
func caddyfileAt(t *testing.T, text string) *caddyfile.Dispenser {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := caddyfile.Tokenize([]byte(text), path)
	if err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	return d
}

func TestUnsetVariable(t *testing.T) {
	t.Setenv("OPTIONS_TEST_SET", "x")
	t.Setenv("OPTIONS_TEST_EMPTY", "")
	for text, want := range map[string]string{
		"name {$OPTIONS_TEST_EMPTY}":                     "; the environment variable OPTIONS_TEST_EMPTY is not set or empty, which {$OPTIONS_TEST_EMPTY} is filled in from",
		"name {$OPTIONS_TEST_SET} {$OPTIONS_TEST_UNSET}": "; the environment variable OPTIONS_TEST_UNSET is not set or empty, which {$OPTIONS_TEST_UNSET} is filled in from",
		"name {$OPTIONS_TEST_SET}":                       "",
		"name {$OPTIONS_TEST_UNSET:x}":                   "",
		"name":                                           "",
	} {
		if got := UnsetVariable(caddyfileAt(t, text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := UnsetVariable(on("name {$OPTIONS_TEST_EMPTY}")); got != "" {
		t.Errorf("a Caddyfile that is no file: %q", got)
	}
	shrunk := caddyfileAt(t, "\n\nname {$OPTIONS_TEST_EMPTY}")
	if err := os.WriteFile(shrunk.File(), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := UnsetVariable(shrunk); got != "" {
		t.Errorf("a file that is shorter by now: %q", got)
	}
}

// parsed returns a dispenser on the first directive of a site in a file that Caddy has read.
func parsed(t *testing.T, path, text string) *caddyfile.Dispenser {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks, err := caddyfile.Parse(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewDispenser(blocks[0].Segments[0])
	d.Next()
	return d
}

func TestRefuseUnset(t *testing.T) {
	t.Setenv("OPTIONS_TEST_SET", "two words")
	t.Setenv("OPTIONS_TEST_EMPTY", "")
	t.Setenv("OPTIONS_TEST_LINES", "a\nb")
	path := filepath.Join(t.TempDir(), "Caddyfile")
	unset := "the environment variable OPTIONS_TEST_UNSET is not set or empty, which {$OPTIONS_TEST_UNSET} is filled in from; set it, or write {$OPTIONS_TEST_UNSET:DEFAULT}, at " + path
	for text, want := range map[string]string{
		"one {$OPTIONS_TEST_UNSET} 9000":                           "one: " + unset + ":2",
		"one {$OPTIONS_TEST_SET} a{$OPTIONS_TEST_UNSET}b":          "one: " + unset + ":2",
		"one \"{$OPTIONS_TEST_UNSET}\" {\nx\n}":                    "one: " + unset + ":2",
		"one {$OPTIONS_TEST_UNSET} {\nx\n}":                        "one: " + unset + ":2",
		"one \\\n{$OPTIONS_TEST_UNSET} 9000":                       "one: " + unset + ":2",
		"one a {\ntwo {$OPTIONS_TEST_UNSET}\n}":                    "two: " + unset + ":3",
		"one a {\ntwo {\nthree {$OPTIONS_TEST_UNSET}\n}\n}":        "three: " + unset + ":4",
		"one a {\n{$OPTIONS_TEST_UNSET} three\n}":                  "three: " + unset + ":3",
		"one a {\ntwo {$OPTIONS_TEST_EMPTY:x}\n}":                  "two: the environment variable OPTIONS_TEST_EMPTY is empty, which {$OPTIONS_TEST_EMPTY:x} is filled in from; set it, or unset it for the default, at " + path + ":3",
		"one {$OPTIONS_TEST_SET} {$OPTIONS_TEST_UNSET:x}":          "",
		"one a{$OPTIONS_TEST_UNSET:} {$OPTIONS_TEST_EMPTY:}":       "",
		"one a # {$OPTIONS_TEST_UNSET}":                            "",
		"one a {\n# {$OPTIONS_TEST_UNSET}\n}":                      "",
		"one a\nthree {$OPTIONS_TEST_UNSET}":                       "",
		"{$OPTIONS_TEST_UNSET}\none a {\n{$OPTIONS_TEST_UNSET}\n}": "",
		"one `{$OPTIONS_TEST_LINES}`\nthree {$OPTIONS_TEST_UNSET}": "",
	} {
		d := parsed(t, path, "site {\n"+text+"\n}\n")
		got := ""
		if err := RefuseUnset(d); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if d.Val() != "one" {
			t.Errorf("%s: the dispenser is on %q", text, d.Val())
		}
	}
	// Where a file has other lines by now, or is none, its variables are not known.
	d := parsed(t, path, "site {\none a\n}\n")
	if err := os.WriteFile(path, []byte("site {\none {$OPTIONS_TEST_UNSET} b\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RefuseUnset(d); err != nil {
		t.Error(err)
	}
	if err := RefuseUnset(on("one {$OPTIONS_TEST_UNSET} b")); err != nil {
		t.Error(err)
	}
}

func TestStatementAt(t *testing.T) {
	d := caddyfileAt(t, `example.org {
	uri strip_prefix /functions
	handle_path /functions/* {
		edge_functions {
			html keep
		}
	}
}`)
	var at caddyfile.Token
	for at.Text != "edge_functions" {
		if !d.Next() {
			t.Fatal("no such token")
		}
		at = d.Token()
	}
	own := StatementAt(at, "edge_functions")
	if own == nil || own.Line != 4 || len(own.Inner) != 1 || own.Inner[0].Words[1] != "keep" {
		t.Fatalf("found %+v", own)
	}
	path := own.Parent
	if path == nil || path.Words[0] != "handle_path" || path.Line != 3 {
		t.Fatalf("it is in %+v", path)
	}
	site := path.Parent
	if site == nil || site.Words[0] != "example.org" || site.Inner[0].Words[0] != "uri" || site.Parent == nil || site.Parent.Parent != nil {
		t.Fatalf("that is in %+v", site)
	}
	if other := StatementAt(at, "reverse_proxy"); other != nil {
		t.Errorf("another word: %+v", other)
	}
	missing := at
	missing.File = filepath.Join(t.TempDir(), "missing")
	if got := StatementAt(missing, "edge_functions"); got != nil {
		t.Errorf("in a file that is not there: %+v", got)
	}
	if err := os.WriteFile(at.File, []byte(`edge_functions "`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := StatementAt(at, "edge_functions"); got != nil {
		t.Errorf("in a file that has changed: %+v", got)
	}
}

func TestPlaceholders(t *testing.T) {
	for text, want := range map[string]string{
		"plain {json}": "", "a{env.B}c": "{env.B}", "{file./x}": "{file./x}", "{file./x} {env.B}": "{env.B}",
	} {
		if got := Placeholder(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if HasEnv(text) != strings.Contains(text, "{env.") {
			t.Errorf("%s: HasEnv is %t", text, HasEnv(text))
		}
	}
}

func TestModuleNames(t *testing.T) {
	caddy.RegisterModule(guest("b"))
	caddy.RegisterModule(guest("a"))
	if got := ModuleNames("options_test"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
	if got := ModuleNames("options_test.none"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

type guest string

func (g guest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID("options_test." + string(g)), New: func() caddy.Module { return g }}
}
