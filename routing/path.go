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

// escapesFunction reports whether some decoding of the rest of a function's
// path could leave /<slug> (BEHAVIOUR.md 1.5). Every round of decoding is
// judged, since a runtime may stop after any of them, and each one both with
// and without the liberties that URL parsers take.
func escapesFunction(rest string) bool {
	if !strings.ContainsAny(rest, "%\\\x00") {
		return strings.Contains(rest, "..") && leaves(rest)
	}
	for round := 0; ; round++ {
		if leavesSomehow(rest) {
			return true
		}
		decoded := percentDecode(rest)
		if decoded == rest {
			return false
		}
		if round == maxDecodings {
			return true
		}
		rest = decoded
	}
}

// leavesSomehow walks the readings of one decoding round: `\` may be a slash,
// a NUL may end the path, tabs and newlines may be dropped.
func leavesSomehow(rest string) bool {
	readings := [...]string{rest, dropTabsAndNewlines(rest)}
	for _, r := range readings {
		slashed := strings.ReplaceAll(r, `\`, "/")
		if leaves(r) || leaves(slashed) || leaves(cutAtNUL(r)) || leaves(cutAtNUL(slashed)) {
			return true
		}
	}
	return false
}

// leaves reports whether the dot-segments of rest step out of the segment in
// front of it. Empty segments do not count as depth: backends may merge them.
func leaves(rest string) bool {
	depth := 0
	for segment := range strings.SplitSeq(rest, "/") {
		switch segment {
		case "", ".":
		case "..":
			if depth == 0 {
				return true
			}
			depth--
		default:
			depth++
		}
	}
	return false
}

func cutAtNUL(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

func dropTabsAndNewlines(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") {
		return s
	}
	return strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
}

// percentDecode decodes one round and leaves malformed escapes as they are.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
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
