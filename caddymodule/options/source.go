package options

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

// A dispenser shows a module its own part of a Caddyfile, with variables filled
// in. Some errors and warnings need more: the lines around it, and the names of
// the variables. For those alone the file is read again; where it cannot be, as
// with a Caddyfile from a pipe, the texts go without.

// emptyVariable is {$NAME} without a default.
var emptyVariable = regexp.MustCompile(`\{\$([^{}:]+)\}`)

// UnsetVariable returns the end of an error about a missing argument: the name of
// an environment variable on the dispenser's line that is not set, or "".
func UnsetVariable(d *caddyfile.Dispenser) string {
	text, err := os.ReadFile(d.File())
	if err != nil {
		return ""
	}
	lines, line := strings.Split(string(text), "\n"), d.Line()
	if line < 1 || line > len(lines) {
		return ""
	}
	for _, found := range emptyVariable.FindAllStringSubmatch(lines[line-1], -1) {
		if os.Getenv(found[1]) == "" {
			return "; the environment variable " + found[1] + " is not set or empty, which " + found[0] + " is filled in from"
		}
	}
	return ""
}

// variable is {$NAME}, or with a default {$NAME:DEFAULT}.
var variable = regexp.MustCompile(`\{\$([^{}:]+)(:[^{}]*)?\}`)

// RefuseUnset returns an error about the first variable {$NAME} of the statement that d
// is on, or of its block, which left nothing behind: an argument that is gone may make
// another one stand in its place. {$NAME:} is empty on purpose. The error names the
// variable and its line. Lines with nothing but the variable are not seen.
func RefuseUnset(d *caddyfile.Dispenser) error {
	at := *d
	rest := at.NextSegment()
	files := make(map[string][]caddyfile.Token) // as they are written
	for len(rest) > 0 {
		n := slices.IndexFunc(rest, func(t caddyfile.Token) bool { return t.File != rest[0].File || t.Line != rest[0].Line })
		if n < 0 {
			n = len(rest)
		}
		line := rest[:n]
		rest = rest[n:]
		written, ok := files[line[0].File]
		if !ok {
			written = tokensOf(line[0].File)
			files[line[0].File] = written
		}
		if text := unset(line, written); text != "" {
			first := caddyfile.NewDispenser(line)
			first.Next()
			return first.Errf("%s: %s", first.Val(), text)
		}
	}
	return nil
}

// tokensOf returns the tokens of a file with its variables, none if it cannot be read.
func tokensOf(file string) []caddyfile.Token {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	tokens, err := caddyfile.Tokenize(text, file)
	if err != nil {
		return nil
	}
	return tokens
}

// unset returns what is wrong about a variable of a line that is empty, or "". It is ""
// too if the line is not as the file has it.
func unset(line, written []caddyfile.Token) (wrong string) {
	var filled []string
	for _, token := range written {
		if token.Line != line[0].Line {
			continue
		}
		text := variable.ReplaceAllStringFunc(token.Text, func(found string) string {
			parts := variable.FindStringSubmatch(found)
			name, instead := parts[1], parts[2]
			value, set := os.LookupEnv(name)
			switch {
			case value != "" || instead == ":" || wrong != "":
			case instead == "":
				wrong = "the environment variable " + name + " is not set or empty, which " + found + " is filled in from; set it, or write {$" + name + ":DEFAULT}"
			case set:
				wrong = "the environment variable " + name + " is empty, which " + found + " is filled in from; set it, or unset it for the default"
			}
			if !set {
				return strings.TrimPrefix(instead, ":")
			}
			return value
		})
		filled = append(filled, strings.Fields(text)...)
	}
	read := make([]string, 0, len(filled))
	for _, token := range line {
		read = append(read, strings.Fields(token.Text)...)
	}
	if !slices.Equal(read, filled) {
		return ""
	}
	return wrong
}

// Statement is a line of a Caddyfile with the block behind it.
type Statement struct {
	Words  []string     // of the line, without a brace at its end
	Line   int          // from 1
	Inner  []*Statement // the lines of the block
	Parent *Statement   // the line that the surrounding block belongs to; nil at the top
}

// StatementAt returns the statement on the line of a token that begins with the
// given word, or nil if the token's file cannot be read or has changed. Of a
// statement that an import brought in, the lines around it are those of the
// imported file.
func StatementAt(at caddyfile.Token, word string) *Statement {
	text, err := os.ReadFile(at.File)
	if err != nil {
		return nil
	}
	tokens, err := caddyfile.Tokenize(text, at.File)
	if err != nil {
		return nil
	}
	var found, last *Statement
	block := new(Statement)
	for i, token := range tokens {
		if i > 0 && token.Line != tokens[i-1].Line {
			last = nil
		}
		switch {
		case token.Text == "}":
			if block.Parent != nil {
				block = block.Parent
			}
			last = nil
			continue
		case last == nil:
			last = &Statement{Line: token.Line, Parent: block}
			block.Inner = append(block.Inner, last)
		}
		if token.Text == "{" {
			block, last = last, nil
			continue
		}
		last.Words = append(last.Words, token.Text)
		if last.Line == at.Line && last.Words[0] == word {
			found = last
		}
	}
	return found
}

// Warn logs a warning about a line of a Caddyfile, in the form of Caddy's own:
// modules cannot add to the list of warnings that the adapter returns.
func Warn(file string, line int, message string) {
	caddy.Log().Named("config.adapter.caddyfile").Warn(message, zap.String("file", file), zap.Int("line", line))
}
