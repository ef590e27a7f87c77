package routing

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDecodings is the most rounds of percent-decoding that a path may need; paths
// that need more are refused (contract 1.5).
const maxDecodings = 4

// escapesFunction reports whether dot-segments in the rest of a function's path
// could leave /<slug> for some reader (contract 1.5). Readers differ: a runtime may
// stop after any round of decoding, or decode dots but no slashes as URL parsers
// do. So the fully decoded path is walked with the reading that descends least.
func escapesFunction(rest string) bool {
	for round := 0; ; round++ {
		decoded := foldUnicode(decodeOnce(rest))
		if decoded == rest {
			break
		}
		if round == maxDecodings {
			return true
		}
		rest = decoded
	}
	return strings.Count(rest, ".") > 1 && leaves(rest)
}

// leaves reports whether the dot-segments of a decoded rest can step out of the
// segment in front of it. A `\` stands for a character that only some readers take
// for a slash: it separates dot-segments but adds no depth. Empty segments add none
// either, as backends may merge them.
func leaves(rest string) bool {
	depth := 0
	for segment := range strings.SplitSeq(rest, "/") {
		named := false // something other than dots since the last ".."
		for text := range strings.SplitSeq(segment, `\`) {
			switch classify(text) {
			case pieceUp:
				if depth == 0 {
					return true
				}
				depth--
				named = false
			case pieceName:
				if !named {
					depth++
					named = true
				}
			case pieceSame:
			}
		}
	}
	return false
}

// piece is the effect of the part of a path between two separators.
type piece int

// In the order of how far they descend.
const (
	pieceName piece = iota // one deeper
	pieceSame              // no change: ".", or nothing
	pieceUp                // ".."
)

// classify takes the reading of a piece that descends least. Some readers drop
// tabs and line breaks anywhere, some trim white space and control characters,
// some cut parameters off, some end the path at a NUL or at what would be a
// query or fragment if the decoded path is parsed again.
func classify(text string) piece {
	least, dots := pieceName, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		blank := c <= ' ' || c == 0x7f
		switch {
		case c == '.':
			dots++
		case blank && dots == 0:
		case droppedByParsers(c):
			least = max(least, pieceOf(dots))
		case blank, c == ';', c == '?', c == '#':
			return max(least, pieceOf(dots))
		default:
			return least
		}
	}
	return max(least, pieceOf(dots))
}

func pieceOf(dots int) piece {
	switch dots {
	case 0, 1:
		return pieceSame
	case 2:
		return pieceUp
	}
	return pieceName
}

// droppedByParsers reports whether c is among the characters that URL parsers
// remove from a URL before they read it.
func droppedByParsers(c byte) bool { return c == '\t' || c == '\r' || c == '\n' }

// decodeOnce undoes one round of percent-encoding, leaving malformed escapes
// as they are. Slashes that were encoded become `\`.
func decodeOnce(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			// URL parsers drop characters before they look for escapes.
			first := skipDropped(s, i+1)
			second := skipDropped(s, first+1)
			if second < len(s) && unhex(s[first]) >= 0 && unhex(s[second]) >= 0 {
				c = separator(byte(unhex(s[first])<<4 | unhex(s[second])))
				i = second
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func skipDropped(s string, i int) int {
	for i < len(s) && droppedByParsers(s[i]) {
		i++
	}
	return i
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// separator returns c, or `\` for a slash that was written in another way.
func separator(c byte) byte {
	if c == '/' {
		return '\\'
	}
	return c
}

// foldUnicode replaces characters that some readers take for ASCII ones: overlong
// UTF-8, full-width and small forms, dot leaders. White space and control
// characters become spaces. Everything else stays.
func foldUnicode(s string) string {
	var b strings.Builder
	done := 0 // bytes of s that are in b
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		as, size := foldFirst(s[i:])
		if as != "" {
			b.WriteString(s[done:i])
			b.WriteString(as)
			done = i + size
		}
		i += size
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// foldFirst returns the ASCII reading of the character at the start of s, "" if it
// has none, and its size in bytes. The first byte is not ASCII.
func foldFirst(s string) (as string, size int) {
	r, size := utf8.DecodeRuneInString(s)
	if r != utf8.RuneError || size > 1 {
		return asASCII(r), size
	}
	if r, size, ok := decodeOverlong(s); ok {
		if r < utf8.RuneSelf {
			return string(separator(byte(r))), size
		}
		if as := asASCII(r); as != "" {
			return as, size
		}
	}
	if s[0] <= 0xa0 { // control characters and the space of ISO 8859-1
		return " ", 1
	}
	return "", 1
}

// decodeOverlong reads a sequence of two to six bytes like decoders that accept
// overlong forms. Some of them do not check either that the bytes behind the first
// are continuations; such a reading counts only if it gives a dot or a separator.
func decodeOverlong(s string) (r rune, size int, ok bool) {
	size = bits.LeadingZeros8(^s[0])
	if size < 2 || size > 6 || size > len(s) {
		return 0, 0, false
	}
	r, wellFormed := rune(s[0])&(0x7f>>size), true
	for i := 1; i < size; i++ {
		wellFormed = wellFormed && s[i]&0xc0 == 0x80
		r = r<<6 | rune(s[i]&0x3f)
	}
	return r, size, wellFormed || r == '.' || r == '/' || r == '\\'
}

// asASCII returns the ASCII form of a character under Unicode compatibility
// normalization or conversion to a small character set; "" if it has none that
// matters in a path.
func asASCII(r rune) string {
	switch r {
	case '\u2024', '\ufe52':
		return "."
	case '\u2025':
		return ".."
	case '\u2044', '\u2215', '\u2216', '\ufe68':
		return `\`
	case '\ufe54':
		return ";"
	case '\ufe6a':
		return "%"
	}
	switch {
	case r >= '\uff01' && r <= '\uff5e': // the full-width forms of ! to ~
		return string(separator(byte(r - '\uff01' + '!')))
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z):
		return " "
	}
	return ""
}
