package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// terminal has the width and the colours of the terminal that an answer is written to.
// The zero value stands for a file or a pipe: no line is shortened, nothing is coloured.
type terminal struct {
	width  int // in columns; 0 is any
	colour bool
}

// terminalOf returns the terminal that a command writes to. NO_COLOR, if it is set and
// not empty, and TERM=dumb turn colours off.
func terminalOf(cmd *cobra.Command) terminal {
	file, ok := cmd.OutOrStdout().(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return terminal{}
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return terminal{width, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Colours of states, as terminals have them.
var stateColours = map[string]string{
	"up": "32", "ready": "32",
	"degraded": "33", "draining": "33", "drained": "33", "stale": "33", "unknown": "33",
	"down": "31", "not ready": "31",
}

// stateWord matches a state that stands as a word of its own, not as a part of a name.
var stateWord = regexp.MustCompile(`(^|[ (])(not ready|ready|up|degraded|draining|drained|stale|unknown|down)($|[ ,:)])`)

// coloured returns text with its states in colours.
func (t terminal) coloured(text string) string {
	if !t.colour {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimSuffix(line, "\n")
		out.WriteString(stateWord.ReplaceAllStringFunc(body, func(match string) string {
			parts := stateWord.FindStringSubmatch(match)
			return parts[1] + "\x1b[" + stateColours[parts[2]] + "m" + parts[2] + "\x1b[0m" + parts[3]
		}))
		out.WriteString(line[len(body):])
	}
	return out.String()
}

// fitted returns text without lines that are wider than the terminal: what exceeds it
// goes on in the next line, below column indent.
func (t terminal) fitted(text string, indent int) string {
	if t.width <= indent {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(strings.TrimSuffix(line, "\n"), " ")
		for utf8.RuneCountInString(line) > t.width {
			runes := []rune(line)
			at := lastSpace(runes[:t.width+1])
			if at <= indent {
				at = t.width
			}
			out.WriteString(strings.TrimRight(string(runes[:at]), " "))
			out.WriteByte('\n')
			line = strings.Repeat(" ", indent) + strings.TrimLeft(string(runes[at:]), " ")
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return out.String()
}

// lastSpace returns the index of the last space, -1 if there is none.
func lastSpace(runes []rune) int {
	for i, r := range slices.Backward(runes) {
		if r == ' ' {
			return i
		}
	}
	return -1
}
