package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/edgegate/edgegate/caddymodule/cli"
	"github.com/edgegate/edgegate/caddymodule/supabase"
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

// readProject finds DIR/<slug>/index.*, DIR/../config.toml and DIR/.env. Folders that start with `_` or `.`, that have no entry point
// or whose name is no slug are left out. No function at all is a *cli.FailureError.
func readProject(dir string) (*project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", dir, err)
	}
	const layout = "--deno takes a folder with <slug>/index.ts in it, usually supabase/functions"
	found, err := supabase.ReadFunctions(abs)
	if err != nil {
		return nil, folderError(err, layout)
	}
	p := &project{dir: abs}
	for _, f := range found {
		if f.Enabled() {
			p.functions = append(p.functions, denoFunction{
				function: function{slug: f.Slug, verifyJWT: f.VerifyJWT()},
				dir:      f.Dir, entry: f.Entry, importMap: findImportMap(f.Dir, abs),
			})
		}
	}
	if len(p.functions) == 0 {
		return nil, &cli.FailureError{Msg: fmt.Sprintf("no function in %s", abs), Hint: layout}
	}
	if p.env, err = readDotenv(filepath.Join(abs, ".env")); err != nil {
		return nil, err
	}
	return p, nil
}

// folderError says what to do about a folder that cannot be read; layout is
// what it must look like.
func folderError(err error, layout string) error {
	if _, ok := errors.AsType[*supabase.ConfigError](err); ok {
		layout = "only [functions.<slug>] verify_jwt and enabled are used, but the file must be valid TOML"
	}
	return &cli.FailureError{Msg: err.Error(), Hint: layout}
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
