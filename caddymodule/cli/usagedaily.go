package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// screen is the output that answers are drawn on.
type screen struct {
	width  int
	blocks bool // it shows block characters
}

// defaultWidth is the assumed width of a screen of unknown width, in characters.
const defaultWidth = 80

// screenOf returns the output of a command, and whether it is a terminal.
func screenOf(cmd *cobra.Command) (s screen, terminal bool) {
	s = screen{width: defaultWidth}
	locale := strings.ToLower(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")))
	s.blocks = strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
	if file, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		terminal = true
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			s.width = width
		}
	}
	return s, terminal
}

// bar is a row of a chart.
type bar struct {
	label string
	value int64
}

// eighths of a block, from one to seven.
var eighths = []rune("▏▎▍▌▋▊▉")

// bars draws rows whose lengths are to each other as their values are. What is
// more than nothing has at least the least mark.
func (s screen) bars(w io.Writer, rows []bar) {
	most, label, number := int64(1), 0, 0
	for _, row := range rows {
		most = max(most, row.value)
		label, number = max(label, utf8.RuneCountInString(row.label)), max(number, len(count(row.value)))
	}
	room := int64(max(10, s.width-label-number-3))
	for _, row := range rows {
		text := s.bar(row.value, most, room)
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s %*s  %s", label, row.label, number, count(row.value), text), " "))
	}
}

func (s screen) bar(value, most, room int64) string {
	if value <= 0 {
		return ""
	}
	share := float64(value) / float64(most) * float64(room)
	if !s.blocks {
		return strings.Repeat("#", max(1, int(share+0.5)))
	}
	parts := max(1, int(share*8+0.5))
	text := strings.Repeat("█", parts/8)
	if parts%8 > 0 {
		text += string(eighths[parts%8-1])
	}
	return text
}
