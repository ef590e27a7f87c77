package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgegate/edgegate/caddymodule/cli"
	"github.com/edgegate/edgegate/caddymodule/supabase"
)

// project is a folder of functions in Supabase's layout, as read at one moment.
type project struct {
	dir       string // absolute
	functions []denoFunction
	env       []string // KEY=VALUE of DIR/.env
	warnings  []string // what is left out or has no effect, with file and key
	outside   []string // files that it is made of and that do not lie in dir
}

// denoFunction is one function of the folder.
type denoFunction struct {
	function
	dir   string   // where it runs
	entry string   // file name in dir, or an absolute path
	flags []string // of deno run: its import map or configuration, where Deno would not find it
}

// readProject finds DIR/<slug>/index.*, DIR/../config.toml and DIR/.env. Folders that start with `_` or `.` are left out without a word,
// anything else with a warning. No function at all is a *cli.FailureError.
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
	p := &project{dir: abs, outside: []string{found.Config()}}
	for _, problem := range found.Problems {
		where := found.Config()
		if strings.HasPrefix(problem.Path, "functions/") {
			where = filepath.Dir(abs)
		}
		p.warn("%s: %s: %s; %s", where, problem.Path, problem.Message, problem.Remedy)
	}
	for _, f := range found.Functions {
		p.functions = append(p.functions, p.deno(found, f))
	}
	if len(p.functions) == 0 {
		return nil, &cli.FailureError{Msg: fmt.Sprintf("no function in %s", abs), Hint: layout}
	}
	if p.env, err = readDotenv(filepath.Join(abs, ".env")); err != nil {
		return nil, err
	}
	return p, nil
}

// list are the functions as the gateway knows them.
func (p *project) list() []function {
	all := make([]function, 0, len(p.functions))
	for _, f := range p.functions {
		all = append(all, f.function)
	}
	return all
}

func (p *project) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// deno says how a function is run. Deno itself finds a deno.json from the folder of the entry point upwards.
func (p *project) deno(found *supabase.Project, f supabase.Function) denoFunction {
	d := denoFunction{function: function{slug: f.Slug, verifyJWT: f.VerifyJWT()}, dir: f.Dir, entry: f.Entry}
	own := f.Dir
	if f.Config.Entrypoint != "" {
		d.entry = found.Resolve(f.Config.Entrypoint)
		p.outside = append(p.outside, d.entry)
		if _, err := os.Stat(d.dir); err != nil {
			d.dir = filepath.Dir(d.entry)
		}
		own = filepath.Dir(d.entry)
	}
	for _, pattern := range f.Config.StaticFiles {
		// They lie where the function reads them; a pattern of none is a mistake.
		if files, err := filepath.Glob(found.Resolve(pattern)); err != nil || len(files) == 0 {
			p.warn("%s: functions.%s.static_files: no file fits %s", found.Config(), f.Slug, pattern)
		}
	}
	d.flags = p.flags(found, f, own)
	return d
}

// folderError adds advice to the error of a folder that cannot be read; layout
// describes the expected one.
func folderError(err error, layout string) error {
	if _, ok := errors.AsType[*supabase.ConfigError](err); ok {
		layout = "only the sections [functions.<slug>] are used, but the file must be valid TOML"
	}
	return &cli.FailureError{Msg: err.Error(), Hint: layout}
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
