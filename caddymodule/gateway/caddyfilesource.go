package gateway

import (
	"os"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

// A module that reads its part of a Caddyfile sees neither what stands round it
// nor the variables that were filled in before. Both are in the file, which is
// read again for the words of an error or a warning, and for nothing else: what
// comes from elsewhere, such as a pipe, gets the words without.

// emptyVariable is {$NAME} without a default.
var emptyVariable = regexp.MustCompile(`\{\$([^{}:]+)\}`)

// unsetVariable names the variable that left an argument out at a place, for the
// end of an error.
func unsetVariable(file string, line int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(string(text), "\n")
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

// statement is a line of a Caddyfile with the block behind it.
type statement struct {
	words  []string
	line   int
	inner  []*statement
	parent *statement // nil at the top
}

// statementAt returns what stands at a line of a file and begins with a word, nil
// where the file is not the one that is being read.
func statementAt(file string, line int, word string) *statement {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	tokens, err := caddyfile.Tokenize(text, file)
	if err != nil {
		return nil
	}
	var found, last *statement
	block := new(statement)
	for i, token := range tokens {
		if i > 0 && token.Line != tokens[i-1].Line {
			last = nil
		}
		switch {
		case token.Text == "}":
			if block.parent != nil {
				block = block.parent
			}
			last = nil
			continue
		case last == nil:
			last = &statement{line: token.Line, parent: block}
			block.inner = append(block.inner, last)
		}
		if token.Text == "{" {
			block, last = last, nil
			continue
		}
		last.words = append(last.words, token.Text)
		if last.line == line && last.words[0] == word {
			found = last
		}
	}
	return found
}

// warnCaddyfile logs a warning about a line of a Caddyfile, in the form of Caddy's
// own: modules cannot add to the list of warnings that the adapter returns.
func warnCaddyfile(file string, line int, message string) {
	caddy.Log().Named("config.adapter.caddyfile").Warn(message, zap.String("file", file), zap.Int("line", line))
}
