// Package supabase reads a project as Supabase's command line lays it out on
// disk: config.toml and the folder of functions beside it.
//
// It decides which functions such a folder has, which of them are on, and
// which ref it is linked to. It does not decide what a slug or a ref may be
// (package projects), runs nothing, and copies no secret.
package supabase

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/routing/projects"
)

// entries are the entry points of a function in order of preference.
var entries = []string{"index.ts", "index.js", "index.tsx", "index.mjs"}

// Function is one function of a folder.
type Function struct {
	// Slug is the name in the URL.
	Slug string
	// Dir is the function's own folder, absolute; it may be missing if Config
	// names an entry point elsewhere.
	Dir string
	// Entry is the file in Dir that is run unless Config says otherwise: index.ts,
	// index.js, index.tsx or index.mjs, the first that is there; "" if none is.
	Entry string
	// Config is its section in config.toml.
	Config FunctionConfig
}

// VerifyJWT reports whether callers need a token or an API key, by default true
// (contract 3.1).
func (f Function) VerifyJWT() bool { return f.Config.VerifyJWT == nil || *f.Config.VerifyJWT }

// Enabled reports whether the function is deployed and served, by default true.
func (f Function) Enabled() bool { return f.Config.Enabled == nil || *f.Config.Enabled }

// ReadFunctions returns the functions of dir, a folder of DIR/<slug>/index.*
// with config.toml beside it, in the order of their slugs: those that are
// served. What was left out, and what of config.toml is not known, are the
// problems of the project, in which nothing else is set.
func ReadFunctions(dir string) (*Project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", dir, err)
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, fmt.Errorf("reading functions: %w", err)
	}
	p := &Project{Dir: filepath.Dir(abs)}
	c, err := readConfig(p.Config())
	if err != nil {
		return nil, err
	}
	p.Problems = c.unreadProblems(true)
	if err := p.readFunctions(abs, c.Functions); err != nil {
		return nil, err
	}
	return p, nil
}

// listFolders returns the names in dir that can be a function's, sorted.
func listFolders(dir string) ([]string, error) {
	listed, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading functions: %w", err)
	}
	var names []string
	for _, item := range listed {
		name := item.Name()
		if strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
			continue // shared code, and what tools keep for themselves
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// isSlug reports whether name can be called through the gateway.
func isSlug(name string) bool { return projects.ValidSlug(name) && !projects.Reserved(name) }

// firstFile returns the first of names that is a file in dir, or "".
func firstFile(dir string, names []string) string {
	for _, name := range names {
		if isFile(filepath.Join(dir, name)) {
			return name
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
