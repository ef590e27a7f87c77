//go:build e2e

package manual

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestUnit looks up the commands of systemd units, and that nothing but the known programs is run by them.
func TestUnit(t *testing.T) {
	binary, found := build(t), 0
	for _, p := range papers(t) {
		for _, b := range p.blocks {
			if b.lang != "ini" {
				continue
			}
			for i, l := range strings.Split(b.text, "\n") {
				_, command, ok := strings.Cut(l, "=/usr/local/bin/")
				if !ok {
					continue
				}
				found++
				if err := checkNames(binary, command); err != nil {
					t.Errorf("%s: %v", b.at(i), err)
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("only %d commands of units were found", found)
	}
}

// TestOrderOfTheDrawing compares the checks of README.md's drawing with the table in contract.md: the same statuses in the same order.
func TestOrderOfTheDrawing(t *testing.T) {
	var drawn, said []string
	for _, p := range papers(t) {
		switch p.path {
		case "README.md":
			for _, b := range p.blocks {
				if b.lang == "" {
					for _, m := range regexp.MustCompile(`(?m)(?:yes|no): (\d{3})`).FindAllStringSubmatch(b.text, -1) {
						drawn = append(drawn, m[1])
					}
				}
			}
		case "docs/contract.md":
			within := false
			for _, l := range p.prose {
				if strings.HasPrefix(l.text, "#") {
					within = l.text == "### Order of the checks"
				}
				if within && regexp.MustCompile(`^\| 3\.\d+ \|`).MatchString(l.text) {
					said = append(said, regexp.MustCompile(`\b[2-5]\d\d\b`).FindString(l.text))
				}
			}
		}
	}
	if len(drawn) < 8 {
		t.Fatalf("the drawing has only %q", drawn)
	}
	for _, status := range drawn {
		at := slices.Index(said, status)
		if at < 0 {
			t.Fatalf("drawn are %q, contract.md says %q: %s is not there, or stands elsewhere", drawn, said, status)
		}
		said = said[at+1:]
	}
}
