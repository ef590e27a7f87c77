package routing

import (
	"strings"

	"github.com/edgegate/edgegate/routing/projects"
)

// Prefix is the path under which functions are called in the path form
// (BEHAVIOUR.md 1.1). It is stripped before the backend sees the path.
const Prefix = "/functions/v1"

// maxDecodings is how many rounds of percent-decoding a path may need before
// it is refused: more are never sent by honest clients (BEHAVIOUR.md 1.5).
const maxDecodings = 4

// functionPath returns the path that the backend gets, /<slug>[/rest], and the
// slug in it. ok is false when the path names no function (BEHAVIOUR.md 1.1 to
// 1.4).
func functionPath(path string, hostForm bool) (backendPath, slug string, ok bool) {
	if !hostForm {
		rest, found := strings.CutPrefix(path, Prefix)
		if !found {
			return "", "", false
		}
		path = rest
	}
	if !strings.HasPrefix(path, "/") {
		return "", "", false
	}
	slug = path[1:]
	if i := strings.IndexByte(slug, '/'); i >= 0 {
		slug = slug[:i]
	}
	if !projects.ValidSlug(slug) {
		return "", "", false
	}
	return path, slug, true
}

// escapesFunction reports whether some reading of the rest of a function's
// path could leave /<slug> (BEHAVIOUR.md 1.5). Readers differ: a runtime may
// stop after any round of decoding, or decode dots and no slashes as URL
// parsers do. So the last round is walked in the way that descends least.
func escapesFunction(rest string) bool {
	for round := 0; strings.ContainsAny(rest, "%\\\t\r\n"); round++ {
		decoded := decodeOnce(rest)
		if decoded == rest {
			break
		}
		if round == maxDecodings {
			return true
		}
		rest = decoded
	}
	return strings.Contains(rest, "..") && leaves(rest)
}

// leaves reports whether the dot-segments of a decoded rest can step out of
// the segment in front of it. A `\` stands for what only some readers take for
// a slash: it separates dot-segments but adds no depth. Empty segments add
// none either, backends may merge them.
func leaves(rest string) bool {
	depth := 0
	for segment := range strings.SplitSeq(rest, "/") {
		named := false // something other than dots since the last ".."
		for piece := range strings.SplitSeq(segment, `\`) {
			if depth == 0 && cutTail(piece) == ".." {
				return true
			}
			switch {
			case piece == "" || piece == ".":
			case piece == "..":
				depth--
				named = false
			case !named:
				depth++
				named = true
			}
		}
	}
	return false
}

// cutTail ends a segment where a reader may end the whole path: at a NUL, and
// at what would be a query or fragment if a decoded path is parsed again.
func cutTail(segment string) string {
	if i := strings.IndexAny(segment, "\x00?#"); i >= 0 {
		return segment[:i]
	}
	return segment
}

// decodeOnce undoes one round of percent-encoding, leaving malformed escapes
// as they are. Slashes that were encoded become `\`. Tabs and newlines go:
// URL parsers drop them, before they look for escapes.
func decodeOnce(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				if c = byte(hi<<4 | lo); c == '/' {
					c = '\\'
				}
				i += 2
			}
		}
		if c != '\t' && c != '\r' && c != '\n' {
			b.WriteByte(c)
		}
	}
	return b.String()
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
