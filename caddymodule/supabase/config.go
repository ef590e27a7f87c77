package supabase

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

const configName = "config.toml"

// FunctionConfig is a [functions.<slug>] section. Paths in it start at the
// folder of config.toml.
type FunctionConfig struct {
	Enabled     *bool    `toml:"enabled"`
	VerifyJWT   *bool    `toml:"verify_jwt"`
	Entrypoint  string   `toml:"entrypoint"`   // "" for the function's own index.*
	ImportMap   string   `toml:"import_map"`   // "" for what Deno finds; for the runtime alone
	StaticFiles []string `toml:"static_files"` // patterns; for the runtime alone
}

// functionKeys are the names of FunctionConfig.
var functionKeys = []string{"enabled", "verify_jwt", "entrypoint", "import_map", "static_files"}

// over returns the section with what other sets, as a [remotes.<name>]
// section does it.
func (c FunctionConfig) over(other FunctionConfig) FunctionConfig {
	if other.Enabled != nil {
		c.Enabled = other.Enabled
	}
	if other.VerifyJWT != nil {
		c.VerifyJWT = other.VerifyJWT
	}
	if other.Entrypoint != "" {
		c.Entrypoint = other.Entrypoint
	}
	if other.ImportMap != "" {
		c.ImportMap = other.ImportMap
	}
	if other.StaticFiles != nil {
		c.StaticFiles = other.StaticFiles
	}
	return c
}

// config has the parts of a config.toml that are read.
type config struct {
	ProjectID string `toml:"project_id"`
	Auth      struct {
		JWTSecret       string `toml:"jwt_secret"`
		SigningKeysPath string `toml:"signing_keys_path"`
	} `toml:"auth"`
	Functions map[string]FunctionConfig `toml:"functions"`
	Remotes   map[string]struct {
		ProjectID string                    `toml:"project_id"`
		Functions map[string]FunctionConfig `toml:"functions"`
	} `toml:"remotes"`

	unread []toml.Key // keys of the file that are not read
}

// unreadProblems warns about keys that are ignored: those of functions, and with
// runtime those of [edge_runtime] too. Other sections belong to other parts of
// Supabase.
func (c config) unreadProblems(runtime bool) (all []projects.Problem) {
	for _, key := range c.unread {
		section := slices.Index(key, "functions")
		switch {
		case runtime && len(key) > 1 && key[0] == "edge_runtime":
			all = append(all, projects.Problem{
				Path: key.String(), Message: "it has no effect here", Remedy: "variables belong into the .env of the functions; the rest is for Supabase's own runtime",
			})
			continue
		case section != 0 && (section != 2 || key[0] != "remotes"), len(key) < section+3:
			continue
		}
		name := key[section+2]
		remedy := "it has no effect here; known are " + strings.Join(functionKeys, ", ")
		if near, ok := spelling.ClosestName(name, functionKeys); ok {
			remedy = fmt.Sprintf("did you mean %s?", near)
		}
		all = append(all, projects.Problem{Path: key.String(), Message: fmt.Sprintf("the key %s is not known", name), Remedy: remedy})
	}
	return all
}

// ConfigError is a config.toml that cannot be understood. It shows no text of
// the file but names of keys: there may be secrets in it.
type ConfigError struct {
	Path string // of the file
	What string // what is wrong, with the line
}

// Error implements error.
func (e *ConfigError) Error() string { return fmt.Sprintf("reading %s: %s", e.Path, e.What) }

// readConfig reads the file at path; a missing one says nothing.
func readConfig(path string) (config, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return config{}, nil
	}
	if err != nil {
		return config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	var c config
	found, err := toml.Decode(string(data), &c)
	if err != nil {
		return config{}, configError(path, err)
	}
	c.unread = found.Undecoded()
	return c, nil
}

func configError(path string, err error) error {
	parse, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		// Of types that do not fit: the library names the key and the types.
		return &ConfigError{path, strings.TrimPrefix(err.Error(), "toml: ")}
	}
	// The library's message quotes what stands there.
	what := fmt.Sprintf("line %d", parse.Position.Line)
	if parse.LastKey != "" {
		what += fmt.Sprintf(" (last key %q)", parse.LastKey)
	}
	return &ConfigError{path, what + ": not valid TOML"}
}

// envReference matches a reference to an environment variable in config.toml.
var envReference = regexp.MustCompile(`^env\(([A-Za-z_][A-Za-z0-9_]*)\)$`)

// variable returns the name in "env(NAME)".
func variable(text string) (string, bool) {
	match := envReference.FindStringSubmatch(text)
	if match == nil {
		return "", false
	}
	return match[1], true
}
