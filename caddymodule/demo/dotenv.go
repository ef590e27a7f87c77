package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/edgegate/edgegate/caddymodule/cli"
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// readDotenv reads KEY=VALUE lines; a missing file has none. Names that start with SUPABASE_ are left out, as the hosted platform does:
// they are its own to set.
func readDotenv(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &cli.FailureError{Msg: fmt.Sprintf("reading functions' environment: %v", err), Hint: "make the file readable, or move it away"}
	}
	env, err := parseDotenv(string(text))
	if err != nil {
		return nil, &cli.FailureError{Msg: fmt.Sprintf("%s: %v", path, err), Hint: "each line is KEY=VALUE, a # comment or empty"}
	}
	return env, nil
}

// parseDotenv understands an `export` prefix, single quotes (taken literally), double quotes (with \n, \r, \t, \", \\ and \$) and, after an
// unquoted value, a comment that a space sets off. Values do not span lines and are not expanded. Errors name the line, never its value.
func parseDotenv(text string) ([]string, error) {
	var env []string
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "export"); ok && rest != strings.TrimLeft(rest, " \t") {
			line = strings.TrimLeft(rest, " \t")
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !found || !envName.MatchString(name) {
			return nil, fmt.Errorf("line %d is not KEY=VALUE", i+1)
		}
		value, err := unquote(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if strings.IndexByte(value, 0) >= 0 {
			return nil, fmt.Errorf("line %d: a NUL byte in the value", i+1)
		}
		if !strings.HasPrefix(name, "SUPABASE_") {
			env = append(env, name+"="+value)
		}
	}
	return env, nil
}

var unescape = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\\`, `\`, `\$`, `$`)

func unquote(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	quote := value[0]
	if quote != '"' && quote != '\'' {
		if quote == '#' {
			return "", nil
		}
		for _, mark := range []string{" #", "\t#"} {
			value, _, _ = strings.Cut(value, mark)
		}
		return strings.TrimSpace(value), nil
	}
	end := 1
	for end < len(value) && value[end] != quote {
		if quote == '"' && value[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(value) {
		return "", errors.New("the quote is not closed")
	}
	if rest := strings.TrimSpace(value[end+1:]); rest != "" && rest[0] != '#' {
		return "", errors.New("text after the closing quote")
	}
	if quote == '"' {
		return unescape.Replace(value[1:end]), nil
	}
	return value[1:end], nil
}
