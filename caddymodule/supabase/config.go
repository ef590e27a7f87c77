package supabase

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

const configName = "config.toml"

// FunctionConfig is what of a [functions.<slug>] section has a meaning here.
// Import maps, static files and the like concern the runtime alone.
type FunctionConfig struct {
	Enabled    *bool  `toml:"enabled"`
	VerifyJWT  *bool  `toml:"verify_jwt"`
	Entrypoint string `toml:"entrypoint"` // from the folder of config.toml; "" for the function's own index.*
}

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
	return c
}

// config is what is read of a config.toml.
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
	if err := toml.Unmarshal(data, &c); err != nil {
		return config{}, configError(path, err)
	}
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

// envReference is how config.toml names a variable of the environment.
var envReference = regexp.MustCompile(`^env\(([A-Za-z_][A-Za-z0-9_]*)\)$`)

// variable returns the name in "env(NAME)".
func variable(text string) (string, bool) {
	match := envReference.FindStringSubmatch(text)
	if match == nil {
		return "", false
	}
	return match[1], true
}
