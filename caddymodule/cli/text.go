package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// printable is text for one line of a terminal: what could move its cursor or
// change what is seen (control and bidirectional formatting characters, bytes
// that are no UTF-8) is escaped. Claims and names are other people's input.
func printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			escaped := strconv.QuoteRune(r)
			b.WriteString(escaped[1 : len(escaped)-1])
		}
	}
	return b.String()
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
