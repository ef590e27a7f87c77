//go:build e2e

package manual

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRefusals looks for what the sources can say to a client in the pages where people look it up: each message and each code of a
// refusal, each description of a 401, each header that scripts may read.
func TestRefusals(t *testing.T) {
	read := func(pattern string) (text string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text += string(b)
		}
		return text
	}
	contract, troubleshooting := read("docs/contract.md"), read("docs/troubleshooting.md")
	section := func(heading string) string {
		t.Helper()
		_, after, ok := strings.Cut(contract, "\n"+heading+"\n")
		if !ok {
			t.Fatalf("docs/contract.md has no section %s", heading)
		}
		level, _, _ := strings.Cut(heading, " ")
		before, _, _ := strings.Cut(after, "\n"+level+" ")
		return before
	}
	statuses := section("## 5. Statuses")

	for _, of := range []struct {
		what, sources, pattern string
		pages                  map[string]string
	}{
		{"message", "routing/*.go", `refuse\(http\.\w+, \w+,\s+"([^"%]+)"\)`, map[string]string{"contract.md": statuses}},
		{"code", "routing/*.go", `\bCode\w+ += "([A-Z_]+)"`, map[string]string{"contract.md": statuses, "troubleshooting.md": troubleshooting}},
		{"code", "routing/auth/*.go", `\bCode\w+ += "([A-Z_]+)"`, map[string]string{"contract.md": statuses, "troubleshooting.md": troubleshooting}},
		{"description", "routing/auth/failure.go", `challenge\("\w+", "([^"]+)"\)`, map[string]string{"contract.md": statuses}},
		{"description", "routing/auth/failure.go", `invalid\(\w+, "[^"]+", "([^"]+)", cause\)`, map[string]string{"contract.md": statuses}},
		{"header", "routing/cors/expose.go", `"((?:x-)?sb-[a-z-]+|retry-after|www-authenticate|ratelimit[a-z-]*)"`, map[string]string{"contract.md": section("### Headers to the client")}},
	} {
		all := regexp.MustCompile(of.pattern).FindAllStringSubmatch(read(of.sources), -1)
		if len(all) == 0 {
			t.Errorf("%s: nothing is like %s", of.sources, of.pattern)
		}
		for _, m := range all {
			for name, page := range of.pages {
				if !strings.Contains(page, "`"+m[1]+"`") {
					t.Errorf("docs/%s does not have the %s `%s` of %s", name, of.what, m[1], of.sources)
				}
			}
		}
	}
}
