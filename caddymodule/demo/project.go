package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/edgegate/edgegate/caddymodule/cli"
)

// project is a folder of functions in Supabase's layout, as read at start.
type project struct {
	dir       string // absolute
	functions []denoFunction
	env       []string // KEY=VALUE of DIR/.env
}

// denoFunction is one function of the folder.
type denoFunction struct {
	function
	dir       string
	entry     string // file name in dir
	importMap string // path of a legacy import map, empty when Deno's own configuration applies
}

var (
	// slugName is what the gateway takes as a slug (BEHAVIOUR 1.4).
	slugName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	// entries are the entry points in order of preference.
	entries = []string{"index.ts", "index.js", "index.tsx", "index.mjs"}
)

// functionConfig is what the demo reads of a [functions.<slug>] section; Supabase's file has more.
type functionConfig struct {
	Enabled   *bool `toml:"enabled"`
	VerifyJWT *bool `toml:"verify_jwt"`
}

// readProject finds DIR/<slug>/index.*, DIR/../config.toml and DIR/.env. Folders that start with `_` or `.`, that have no entry point
// or whose name is no slug are left out. No function at all is a *cli.FailureError.
func readProject(dir string) (*project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", dir, err)
	}
	const layout = "--deno takes a folder with <slug>/index.ts in it, usually supabase/functions"
	listed, err := os.ReadDir(abs)
	if err != nil {
		return nil, &cli.FailureError{Msg: fmt.Sprintf("reading functions: %v", err), Hint: layout}
	}
	config, err := readFunctionConfig(filepath.Join(filepath.Dir(abs), "config.toml"))
	if err != nil {
		return nil, err
	}
	p := &project{dir: abs}
	for _, item := range listed {
		slug := item.Name()
		if strings.HasPrefix(slug, "_") || !slugName.MatchString(slug) {
			continue
		}
		f := denoFunction{function: function{slug: slug, verifyJWT: true}, dir: filepath.Join(abs, slug)}
		if f.entry = firstFile(f.dir, entries); f.entry == "" {
			continue
		}
		set := config[slug]
		if set.Enabled != nil && !*set.Enabled {
			continue
		}
		if set.VerifyJWT != nil {
			f.verifyJWT = *set.VerifyJWT
		}
		f.importMap = findImportMap(f.dir, abs)
		p.functions = append(p.functions, f)
	}
	if len(p.functions) == 0 {
		return nil, &cli.FailureError{Msg: fmt.Sprintf("no function in %s", abs), Hint: layout}
	}
	sort.Slice(p.functions, func(i, j int) bool { return p.functions[i].slug < p.functions[j].slug })
	if p.env, err = readDotenv(filepath.Join(abs, ".env")); err != nil {
		return nil, err
	}
	return p, nil
}

// readFunctionConfig reads the [functions.*] sections; a missing file has none.
func readFunctionConfig(path string) (map[string]functionConfig, error) {
	var file struct {
		Functions map[string]functionConfig `toml:"functions"`
	}
	if _, err := toml.DecodeFile(path, &file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &cli.FailureError{
			Msg:  fmt.Sprintf("reading %s: %v", path, err),
			Hint: "only [functions.<slug>] verify_jwt and enabled are used, but the file must be valid TOML",
		}
	}
	return file.Functions, nil
}

// findImportMap returns a legacy import_map.json of the function or the folder, unless a deno.json takes its place: Deno finds that one
// itself, from the function's directory upwards.
func findImportMap(function, folder string) string {
	for _, dir := range []string{function, folder} {
		if firstFile(dir, []string{"deno.json", "deno.jsonc"}) != "" {
			return ""
		}
		if name := firstFile(dir, []string{"import_map.json"}); name != "" {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// firstFile returns the first of names that is a file in dir, or "".
func firstFile(dir string, names []string) string {
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}
