package supabase

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/routing/projects"
)

// Project is a folder as Supabase's command line lays it out.
type Project struct {
	// Dir is the folder with config.toml and functions in it, absolute.
	Dir string
	// Ref is the project's ref, "" if nothing says it.
	Ref string
	// Refs are the refs that the sections [remotes.<name>] have, sorted.
	Refs []string
	// Functions are those that are served, by slug.
	Functions []Function
	// SecretVariable names the environment variable of [auth] jwt_secret, "" if
	// the file names none.
	SecretVariable string
	// Problems describes the parts that were left out, and why.
	Problems []projects.Problem
}

// ErrNoProject is the error of a folder that is not laid out so.
var ErrNoProject = errors.New("neither config.toml nor a folder of functions")

// Read reads dir, the folder supabase or the one that it lies in. The ref is
// the given one; if that is empty, project_id, where it has the form of a ref,
// else what `supabase link` noted. A [remotes.<name>] section with that ref
// overrides what the others say of functions. The environment is read where the
// file says env(NAME), but for secrets.
//
// The error is ErrNoProject, a *ConfigError, or one of the file system.
func Read(dir, ref string) (*Project, error) {
	home, err := locate(dir)
	if err != nil {
		return nil, err
	}
	c, err := readConfig(filepath.Join(home, configName))
	if err != nil {
		return nil, err
	}
	p := &Project{Dir: home, Ref: ref}
	if p.Ref == "" {
		p.Ref = findRef(home, c)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Remotes)) {
		remote := c.Remotes[name]
		id := fromEnvironment(remote.ProjectID)
		p.Refs = append(p.Refs, id)
		if id != p.Ref || id == "" {
			continue
		}
		if c.Functions == nil {
			c.Functions = make(map[string]FunctionConfig)
		}
		for slug, set := range remote.Functions {
			c.Functions[slug] = c.Functions[slug].over(set)
		}
	}
	slices.Sort(p.Refs)
	p.readAuth(c)
	p.Problems = append(p.Problems, c.unreadProblems(false)...)
	if err := p.readFunctions(filepath.Join(home, "functions"), c.Functions); err != nil {
		return nil, err
	}
	return p, nil
}

// locate finds the folder that config.toml and functions lie in. One that is
// called so below dir goes before dir's own folder of functions, which other
// tools have too.
func locate(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolving %s: %w", dir, err)
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("reading the project: %w", err)
	}
	below := filepath.Join(abs, "supabase")
	for _, home := range []string{abs, below} {
		if isFile(filepath.Join(home, configName)) {
			return home, nil
		}
	}
	for _, home := range []string{below, abs} {
		if info, err := os.Stat(filepath.Join(home, "functions")); err == nil && info.IsDir() {
			return home, nil
		}
	}
	return "", fmt.Errorf("reading %s: %w", abs, ErrNoProject)
}

// findRef returns the ref that the files name. A local project_id is any name.
func findRef(home string, c config) string {
	if id := fromEnvironment(c.ProjectID); projects.ValidRef(id) {
		return id
	}
	linked, err := os.ReadFile(filepath.Join(home, ".temp", "project-ref"))
	if err != nil {
		return ""
	}
	if id := strings.TrimSpace(string(linked)); projects.ValidRef(id) {
		return id
	}
	return ""
}

func fromEnvironment(text string) string {
	if name, ok := variable(text); ok {
		return os.Getenv(name)
	}
	return text
}

func (p *Project) readAuth(c config) {
	if secret := c.Auth.JWTSecret; secret != "" {
		name, ok := variable(secret)
		p.SecretVariable = name
		if !ok {
			p.problem("auth.jwt_secret", "the secret was not copied", "put it into the environment variable that stands in its place")
		}
	}
	if c.Auth.SigningKeysPath != "" {
		p.problem("auth.signing_keys_path", "the file holds private keys and was not read",
			"name where the public ones are published as jwks_url of the project's jwt")
	}
}

// readFunctions joins what lies in the folder dir with what config.toml says.
func (p *Project) readFunctions(dir string, config map[string]FunctionConfig) error {
	folders, err := listFolders(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	slugs := slices.Concat(folders, slices.Collect(maps.Keys(config)))
	slices.Sort(slugs)
	for _, slug := range slices.Compact(slugs) {
		set, configured := config[slug]
		f := Function{Slug: slug, Dir: filepath.Join(dir, slug), Config: set}
		f.Entry = firstFile(f.Dir, entries)
		path := "functions/" + slug
		if configured {
			path = "functions." + slug
		}
		switch {
		case !f.Enabled():
			p.problem(path, "left out: enabled is false", "set enabled = true to serve it")
		case set.Entrypoint != "" && !isFile(p.Resolve(set.Entrypoint)):
			p.problem(path, fmt.Sprintf("left out: the entrypoint %s is not there", set.Entrypoint), "correct it, or remove the section")
		case set.Entrypoint == "" && f.Entry == "" && slices.Contains(folders, slug):
			p.problem(path, "left out: its folder has no index.ts", "set entrypoint, or let the names of folders of shared code begin with _")
		case set.Entrypoint == "" && f.Entry == "":
			p.problem(path, "left out: there is no folder "+filepath.Base(dir)+"/"+slug, "add it, or remove the section")
		case !isSlug(slug):
			p.problem(path, "left out: the name is no slug", "rename it to letters, digits, _ and -")
		default:
			p.Functions = append(p.Functions, f)
		}
	}
	return nil
}

// Config is the path of config.toml, which need not be there.
func (p *Project) Config() string { return filepath.Join(p.Dir, configName) }

// Resolve returns a path of config.toml, which starts at its folder.
func (p *Project) Resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}

func (p *Project) problem(path, message, remedy string) {
	p.Problems = append(p.Problems, projects.Problem{Path: path, Message: message, Remedy: remedy})
}
