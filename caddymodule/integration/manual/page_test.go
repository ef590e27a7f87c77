//go:build e2e

package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository.
var root = func() string {
	dir, err := filepath.Abs("../../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// block is one fenced block of a page.
type block struct {
	page string // path from the root
	line int    // of its first line of text
	lang string // "" if the fence says none
	text string // without the indentation of the fence, with a line end
}

// at names the place as compilers do.
func (b block) at(line int) string { return fmt.Sprintf("%s:%d", b.page, b.line+line) }

// page is one paper.
type page struct {
	path   string
	blocks []block
	prose  []line // everything outside blocks
}

type line struct {
	number int
	text   string
}

// readPage splits a page into blocks and prose. A fence that is not closed is an error.
func readPage(path, text string) (page, error) {
	p := page{path: path}
	var open *block
	indent := ""
	for i, raw := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		trimmed := strings.TrimLeft(raw, " ")
		fence, isFence := strings.CutPrefix(trimmed, "```")
		switch {
		case open == nil && isFence:
			indent = raw[:len(raw)-len(trimmed)]
			open = &block{page: path, line: i + 2, lang: strings.TrimSpace(fence)}
		case open == nil:
			p.prose = append(p.prose, line{i + 1, raw})
		case isFence:
			p.blocks = append(p.blocks, *open)
			open = nil
		default:
			open.text += strings.TrimPrefix(raw, indent) + "\n"
		}
	}
	if open != nil {
		return page{}, fmt.Errorf("%s: the fence is not closed", open.at(-1))
	}
	return p, nil
}

// papers are all pages there are.
func papers(t *testing.T) []page {
	t.Helper()
	paths := []string{"README.md", "SECURITY.md"}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range docs {
		paths = append(paths, "docs/"+filepath.Base(path))
	}
	if len(paths) < 10 {
		t.Fatalf("only %q were found", paths)
	}
	var all []page
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		p, err := readPage(path, string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// languages are the classes that a fence can say. Each one is checked by the test named.
var languages = map[string]string{
	"caddyfile": "TestCaddyfiles",
	"console":   "TestCommands, or the rules of its page",
	"bash":      "the session of its page runs it as it stands",
	"json":      "TestJSON",
	"js":        "the session of its page runs it with Deno",
	"yaml":      "the session of its page reads it: a scenario, a scrape configuration",
	"go":        "the session of its page builds it",
	"ini":       "TestUnit",
	"promql":    "the session of its page looks for its metrics",
	"mermaid":   "TestPicture of caddymodule draws it",
	"":          "output or a drawing: it is compared by plainBlocks",
}

// TestEveryBlockHasAClass fails for a fence whose language nothing here checks.
func TestEveryBlockHasAClass(t *testing.T) {
	for _, p := range papers(t) {
		for _, b := range p.blocks {
			if err := classified(b); err != nil {
				t.Error(err)
			}
		}
	}
}

func classified(b block) error {
	if _, ok := languages[b.lang]; !ok {
		known := slices.Sorted(func(yield func(string) bool) {
			for name := range languages {
				if !yield(name) {
					return
				}
			}
		})
		return fmt.Errorf("%s: nothing checks a block of the language %q: use one of %q, or add it to languages in caddymodule/integration/manual/page_test.go "+
			"together with what checks it", b.at(-1), b.lang, known)
	}
	if b.lang == "" && !slices.ContainsFunc(plainBlocks, func(p plain) bool { return p.page == b.page && p.match.MatchString(b.text) }) {
		return fmt.Errorf("%s: a block without a language: write ```console, ```caddyfile or ```json, or, if it is output or a drawing, add a pattern that it "+
			"matches to plainBlocks in caddymodule/integration/manual/page_test.go", b.at(-1))
	}
	return nil
}

// plain is a block without a language, and what it has to say to be true.
type plain struct {
	page   string
	match  *regexp.Regexp
	reason string
}

var plainBlocks = []plain{
	{"README.md", regexp.MustCompile(`(?s)client.*edge_functions.*answer`), "a drawing; TestOrderOfTheDrawing compares it with contract.md"},
	{"docs/quick-start.md", regexp.MustCompile(`^\[eu-central-1/hello\] starting\n\[eu-central-1/hello\] Listening on http://127\.0\.0\.1:\d+/\n\[eu-central-1/hello\] ready after \d+ ms\n$`), "output of a function; the session of the page waits for such lines"},
	{"docs/one-project.md", regexp.MustCompile(`^\.\.\. project default: jwt\.secret: the environment variable JWT_SECRET is not set or empty \.\.\.\n$`), "an error; the session of the page causes it"},
	{"docs/contract.md", regexp.MustCompile(`^content-type: text/plain\nx-content-type-options: nosniff\ncontent-security-policy: default-src 'none'; sandbox\n$`), "headers; the end-to-end suite compares them"},
	{"docs/troubleshooting.md", regexp.MustCompile(`\A/var/lib/edgegate/inst/[0-9a-f]{12}/dict\.seg: byte \d+: damaged: this line is not what was written: the checksum is wrong; stop the gateway, copy its directory, and run .edgegate usage recover DIRECTORY.\n\z`), "an error; the tests of ratelimit/metering cause it"},
	{"docs/counting.md", regexp.MustCompile(`\Aacme: gateway [0-9a-f]{12}, last seen .* holds .* of the remaining: .*: edgegate quota release [0-9a-f]{12}\n\z`), "what is held; the tests of quota show in caddymodule/cli have its words"},
	{"docs/counting.md", regexp.MustCompile(`\AACL SETUSER edgegate .*\n\z`), "a user of Redis; TestRedisUser runs a gateway with it"},
	{"docs/counting.md", regexp.MustCompile(`(?m)\ADIRECTORY/inst/ID/wal`), "files; the session of the page looks for them"},
}

// Every pattern of plainBlocks has its block: what is gone from the papers goes from here.
func TestPlainBlocksAreThere(t *testing.T) {
	all := papers(t)
	for _, rule := range plainBlocks {
		found := slices.ContainsFunc(all, func(p page) bool {
			return p.path == rule.page && slices.ContainsFunc(p.blocks, func(b block) bool { return b.lang == "" && rule.match.MatchString(b.text) })
		})
		if !found {
			t.Errorf("%s has no block without a language that matches %s: remove the rule, or mend the page", rule.page, rule.match)
		}
	}
}

func TestReadPage(t *testing.T) {
	p, err := readPage("x.md", "a\n```sh\none\n  two\n```\n1. b\n\n   ```\n   three\n   ```\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []block{{"x.md", 3, "sh", "one\n  two\n"}, {"x.md", 9, "", "three\n"}}
	if !slices.Equal(p.blocks, want) {
		t.Errorf("got %+v", p.blocks)
	}
	if _, err := readPage("x.md", "```sh\nopen\n"); err == nil {
		t.Error("an open fence is not found")
	}
}
