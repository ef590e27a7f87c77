package routing

import (
	"encoding/json"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/edgegate/edgegate/routing/projects"
)

var (
	requestLine = regexp.MustCompile(`^[A-Z]+ /[^\x00-\x20#\x7f]+ HTTP/1\.1$`)
	anyEscape   = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	dotEscape   = regexp.MustCompile(`(?i)%2e`)
)

// maxReadings bounds the oracle: with few bytes it reaches every combination of
// readers, with many it would only make the fuzzer slow.
const maxReadings = 300

// readers are what software between the gateway and a function may do to a
// path before it walks the dot-segments. The oracle made of them shares nothing
// with the code under test: it tries them one by one, in any order, in place of
// one pessimistic walk.
var readers = []func(string) string{
	decode,
	dropTabs,
	func(s string) string { return strings.ReplaceAll(s, `\`, "/") },
	func(s string) string { return dotEscape.ReplaceAllString(s, ".") },
	// Some decode everything but slashes.
	func(s string) string {
		return anyEscape.ReplaceAllStringFunc(s, func(e string) string {
			if c := unescape(e); c != "/" && c != `\` {
				return c
			}
			return e
		})
	},
	// Some take one of these for the end of the path.
	func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s },
	func(s string) string { s, _, _ = strings.Cut(s, "?"); return s },
	func(s string) string { s, _, _ = strings.Cut(s, "#"); return s },
	// Some split what they decoded at white space again.
	func(s string) string { s, _, _ = strings.Cut(s, " "); return s },
	// Some drop the parameters of each segment, or trim it.
	bySegment(func(segment string) string { name, _, _ := strings.Cut(segment, ";"); return name }),
	bySegment(func(segment string) string {
		return strings.TrimFunc(segment, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	}),
	// Some normalize, or decode UTF-8 without asking for the shortest form.
	norm.NFKC.String,
	overlongs.Replace,
}

// overlongs undoes overlong UTF-8 of what matters in a path.
var overlongs = func() *strings.Replacer {
	var pairs []string
	for _, c := range []byte("./\\%;? \x00") {
		for size := 2; size <= 6; size++ {
			pairs = append(pairs, string(overlong(c, size)), string([]byte{c}))
		}
	}
	return strings.NewReplacer(pairs...)
}()

// bySegment reads each segment of a path alone.
func bySegment(read func(string) string) func(string) string {
	return func(s string) string {
		segments := strings.Split(s, "/")
		for i := range segments {
			segments[i] = read(segments[i])
		}
		return strings.Join(segments, "/")
	}
}

func decode(s string) string { return anyEscape.ReplaceAllStringFunc(s, unescape) }

func dropTabs(s string) string {
	for _, c := range []string{"\t", "\r", "\n"} {
		s = strings.ReplaceAll(s, c, "")
	}
	return s
}

func unescape(e string) string {
	n, err := strconv.ParseUint(e[1:], 16, 8)
	if err != nil {
		panic(err)
	}
	return string([]byte{byte(n)})
}

// findEscape looks for a sequence of readers after which a path is outside
// /<slug>, breadth first, and returns what they made of it.
func findEscape(p, slug string) (string, bool) {
	seen := map[string]bool{p: true}
	for frontier := []string{p}; len(frontier) > 0; {
		var next []string
		for _, text := range frontier {
			if clean := path.Clean(text); clean != "/"+slug && !strings.HasPrefix(clean, "/"+slug+"/") {
				return text, true
			}
			for _, read := range readers {
				if got := read(text); !seen[got] && len(seen) < maxReadings {
					seen[got] = true
					next = append(next, got)
				}
			}
		}
		frontier = next
	}
	return "", false
}

// The oracle is only worth something if it finds escapes: contract 1.5.
func TestFindEscape(t *testing.T) {
	for _, rest := range []string{
		"/..", "/%2e%2e/x", "/%252e%252e%255cx", `/..\x`, "/..%00x", "/.%09./x", "/a%2fb/%2e%2e/%2e%2e/x", "/..%23",
		"/..;/x", "/..%3b/x", "/..%20/x", "/..%09", "/..%20x", "/%ef%bc%8e%ef%bc%8e/x", "/%c0%ae%c0%ae/x", "/..%c0%afx", "/;a/../x",
	} {
		if _, found := findEscape("/hello"+rest, "hello"); !found {
			t.Errorf("contract 1.5: the oracle lets %q pass", rest)
		}
	}
	for _, rest := range []string{"", "/", "/a..b", "/...", "/%2e", "/a/../b", "/a%2fb", "/a;b/..;c", "/a%20b", "/．/x"} {
		if text, found := findEscape("/hello"+rest, "hello"); found {
			t.Errorf("contract 1.5: the oracle refuses %q for %q", rest, text)
		}
	}
}

// Contract 1.3 to 1.7, 2.4: whatever a client sends, Admit does
// not panic, what it lets pass stays inside a function that is not the
// runtime's own, and what it refuses has a well-formed answer.
func FuzzInvocation(f *testing.F) {
	for _, rest := range []string{
		"", "/", "/a..b", "/...", "/%2e", "/a/../b", "/..", "/%2e%2e/_internal", "/%252e%252e%252f_internal",
		`/..\_internal`, "/..%5c_internal", "/..%00x", "/.%09./x", "/a%2fb/%2e%2e/%2e%2e/_internal",
		"/%252525252e", "/100%", "//a//../..", "/..;/x", "/..#x", "/..%3fx", "/%%32e%%32e/x",
		"/..%20/x", "/..%09", "/%c0%ae%c0%ae/x", "/%ef%bc%8e%ef%bc%8e/x", "/%e2%80%a5/x", "/a b", "/;/../x", "/\xc0\x2e\xc0\x2e", "/．．／x",
	} {
		f.Add(sharedHost, "/functions/v1/hello"+rest, http.MethodGet, "any", "x=1")
		f.Add(hostFormHost, "/Any-thing"+rest, http.MethodPost, "us-east-1,any", "")
	}
	f.Add(ownHost, "/functions/v1/_internal/health", "OPTIONS", "mars", "forceFunctionRegion=%ff")
	f.Add("[::1]:80", "http://x/functions/v1/_INTERNAL", "HEAD", "any,x", "forceFunctionRegion=us-east-1")
	f.Add("", "*", "", ",,", "&&=")
	f.Add("a b", "/functions/v1/hello", "GET", "", "a b")

	fixture := newFixture()
	fixture.functions = append(testFunctions(), projects.Function{Slug: projects.Wildcard})
	p := fixture.pipeline(f)
	f.Fuzz(func(t *testing.T, host, target, method, region, query string) {
		if query != "" {
			target += "?" + query
		}
		r := request(target, "X-Region", region, "Apikey", publishableKey)
		r.Host, r.Method = host, method
		var inv Invocation
		if refusal := p.Admit(r, Site{}, &inv); refusal != nil {
			checkRefusal(t, refusal, r)
			return
		}
		checkAdmitted(t, &inv, r)
	})
}

func checkRefusal(t *testing.T, refusal *Refusal, r *Request) {
	t.Helper()
	var said struct{ Code, Message string }
	if err := json.Unmarshal(refusal.Body(), &said); err != nil || said.Code != refusal.Code || said.Message == "" {
		t.Fatalf("body %q: %v", refusal.Body(), err)
	}
	if !slices.Contains([]int{400, 404, 405}, refusal.Status) {
		t.Fatalf("status %d", refusal.Status)
	}
	if refusal.Code != CodeInvalidURL {
		return
	}
	if p, _ := SplitTarget(r.Target); !unprintable.MatchString(r.Target+r.Host) && isHost.MatchString(r.Host) && !harmfulLooking(p) {
		t.Fatalf("contract 1.5: %q on %q is refused", r.Target, r.Host)
	}
}

var (
	unprintable = regexp.MustCompile(`[\x00-\x20#\x7f]`)
	isHost      = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]*$`)
)

// harmfulLooking reports whether a path could be refused at all: it hides two
// dots, more encoding than anybody needs, or bytes that are no UTF-8.
func harmfulLooking(p string) bool {
	for round := 0; ; round++ {
		next := norm.NFKC.String(overlongs.Replace(dropTabs(decode(p))))
		if next == p || round > maxDecodings || !utf8.ValidString(p) {
			return round > maxDecodings || strings.Contains(p, "..") || !utf8.ValidString(p)
		}
		p = next
	}
}

func checkAdmitted(t *testing.T, inv *Invocation, r *Request) {
	t.Helper()
	target := r.Target
	if line := r.Method + " " + inv.Target + " HTTP/1.1"; !requestLine.MatchString(line) {
		t.Fatalf("contract 1.5: the request line is %q", line)
	}
	if unprintable.MatchString(r.Host) {
		t.Fatalf("contract 1.5: host %q", r.Host)
	}
	if !projects.ValidSlug(inv.Slug) || strings.EqualFold(inv.Slug, "_internal") {
		t.Fatalf("contract 1.4, 1.6: slug %q of %q", inv.Slug, target)
	}
	rest, ok := strings.CutPrefix(inv.Target, "/"+inv.Slug)
	if !ok || rest != "" && rest[0] != '/' && rest[0] != '?' || !strings.HasSuffix(target, inv.Target) {
		t.Fatalf("contract 1.3: %q for %q", inv.Target, target)
	}
	raw, _, _ := strings.Cut(inv.Target, "?")
	raw = raw[:min(len(raw), 1+len(inv.Slug)+256)] // the search is slow, and a slug that is cut looks left
	if text, found := findEscape(raw, inv.Slug); found {
		t.Fatalf("contract 1.5: %q passes and may be read as %q", raw, text)
	}
	if len(inv.Plan.Candidates) == 0 && inv.Answer == AnswerNone {
		t.Fatalf("contract 2.6: no plan for %q", target)
	}
}
