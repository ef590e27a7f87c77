package sources_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/sources"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file is followed however it is written, and a bad one leaves the old projects in force.
func TestFile(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "projects.json")
	write(t, path, fileJSON("first"))
	load(t, withSource(t, fmt.Sprintf(`{"source":"file","path":%q}`, path)))
	serves(t, "first")

	write(t, path, fileJSON("in-place"))
	serves(t, "in-place")

	next := filepath.Join(dir, "next.json")
	write(t, next, fileJSON("renamed"))
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	serves(t, "renamed")

	write(t, path, `{"projects":[{"ref":"short"}]}`)
	fails(t, func(text string) bool { return strings.Contains(text, `projects[0].ref: "short"`) })
	serves(t, "renamed")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fails(t, func(text string) bool { return strings.Contains(text, "no such file") })
	serves(t, "renamed")
	write(t, path, fileJSON("back"))
	serves(t, "back")
	fails(t, func(text string) bool { return text == "" })
}

// What cannot be served is no start, but `validate` lets a file be missing.
func TestFileAtStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "projects.json")
	text := withSource(t, fmt.Sprintf(`{"source":"file","path":%q}`, path))
	validate := func() error {
		config := new(caddy.Config)
		if err := json.Unmarshal(text, config); err != nil {
			t.Fatal(err)
		}
		return caddy.Validate(config)
	}
	if err := validate(); err != nil {
		t.Errorf("validate without the file: %v", err)
	}
	if err := caddy.Load(text, true); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("start without the file: %v", err)
	}
	write(t, path, `{"projects":[{"ref":"short"}]}`)
	if err := validate(); err == nil || !strings.Contains(err.Error(), `projects.json: projects[0].ref: "short"`) {
		t.Errorf("validate of a bad file: %v", err)
	}
}

// Where the directory cannot be watched, the file is read again from time to time all the same.
func TestFileWithoutWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := &sources.File{Path: filepath.Join(dir, "projects.json")}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := f.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	s, done := newSink(), make(chan struct{})
	go func() {
		f.Follow(ctx, s)
		close(done)
	}()
	if err := receive(t, s.failed); !os.IsNotExist(err) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a directory: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f.Path, fileJSON("late"))
	if input := receive(t, s.applied); len(input.Projects) != 1 {
		t.Errorf("applied %+v", input)
	}
	cancel()
	receive(t, done)
}

func TestFileOptions(t *testing.T) {
	for text, want := range map[string]string{
		"file /etc/projects.json":    "",
		"file":                       "wrong number of arguments (0)",
		"file a b":                   "wrong number of arguments (2)",
		"file {env.PROJECTS}":        "write {$NAME}",
		"file /a {\n\tcolor blue\n}": "color",
	} {
		f := new(sources.File)
		err := f.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if want == "" && (err != nil || f.Path != "/etc/projects.json") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want in it %q; path %q", text, err, want, f.Path)
		}
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := new(sources.File).Provision(ctx); err == nil || !strings.Contains(err.Error(), "the path is missing") {
		t.Errorf("without a path: %v", err)
	}
	f := &sources.File{Path: "projects.json"}
	if err := f.Provision(ctx); err != nil || !filepath.IsAbs(f.Location()) {
		t.Errorf("a relative path became %s, %v", f.Location(), err)
	}
}
