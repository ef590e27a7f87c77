package caddymodule_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The picture of the rooms in docs/architecture.md is drawn from the imports, by
//
//	go test ./caddymodule -run TestPicture -update

const (
	architecturePage = "../docs/architecture.md"
	pictureBegins    = "<!-- the picture: go test ./caddymodule -run TestPicture -update -->\n"
	pictureEnds      = "<!-- the end of the picture -->\n"
)

// drawnAsOne are trees of which the picture shows a single room.
var drawnAsOne = []string{"routing", "regions", "ratelimit/metering", "ratelimit/usage", "ratelimit/redisconn", "caddymodule/demo"}

// notDrawn are packages for tests and for generators.
func notDrawn(dir string) bool {
	return strings.Contains("/"+dir+"/", "/internal/") || within(dir, "caddymodule/integration/...") || forTests[module+"/"+dir] != ""
}

// room is where the picture has the package in dir.
func room(dir string) string {
	for _, one := range drawnAsOne {
		if matches(dir, one+"/...") {
			return one
		}
	}
	return dir
}

func TestPicture(t *testing.T) {
	arrows := make(map[string]map[string]bool) // room -> rooms that it imports
	for _, f := range parseTree(t, "..") {
		dir := path.Dir(f.path)
		if f.isTest() || notDrawn(dir) {
			continue
		}
		from := room(dir)
		if arrows[from] == nil {
			arrows[from] = make(map[string]bool)
		}
		for _, spec := range f.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(imported, module+"/"); ok && !notDrawn(own) && room(own) != from {
				arrows[from][room(own)] = true
			}
		}
	}

	for _, one := range drawnAsOne {
		if arrows[one] == nil {
			t.Errorf("the picture is to have the room %s, which is not there", one)
		}
	}

	page, err := os.ReadFile(architecturePage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), pictureBegins)
	_, after, ok2 := strings.Cut(rest, pictureEnds)
	if !ok || !ok2 {
		t.Fatalf("docs/architecture.md has no place for the picture, between %q and %q", pictureBegins, pictureEnds)
	}
	upToDate(t, architecturePage, []byte(before+pictureBegins+drawing(arrows)+pictureEnds+after))
}

// drawing is the picture, without arrows that others imply, and the table of all of them.
func drawing(arrows map[string]map[string]bool) string {
	var b bytes.Buffer
	b.WriteString("\n```mermaid\nflowchart TD\n")
	rooms := slices.Sorted(maps.Keys(arrows))
	for _, from := range rooms {
		for _, to := range slices.Sorted(maps.Keys(arrows[from])) {
			if !implied(arrows, from, to) {
				fmt.Fprintf(&b, "  %s --> %s\n", node(from), node(to))
			}
		}
	}
	b.WriteString("```\n\n| room | imports |\n|---|---|\n")
	for _, from := range rooms {
		to := slices.Sorted(maps.Keys(arrows[from]))
		for i := range to {
			to[i] = "`" + to[i] + "`"
		}
		if len(to) == 0 {
			to = []string{"nothing of ours"}
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", from, strings.Join(to, ", "))
	}
	b.WriteString("\n")
	return b.String()
}

// node is a name as mermaid takes it, with the path that is shown.
func node(room string) string {
	return strings.NewReplacer("/", "_").Replace(room) + "[" + room + "]"
}

// implied tells whether another room that from imports leads to to.
func implied(arrows map[string]map[string]bool, from, to string) bool {
	for via := range arrows[from] {
		if via != to && reaches(arrows, via, to, map[string]bool{from: true}) {
			return true
		}
	}
	return false
}

func reaches(arrows map[string]map[string]bool, from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	for via := range arrows[from] {
		if reaches(arrows, via, to, seen) {
			return true
		}
	}
	return false
}

func TestDrawing(t *testing.T) {
	got := drawing(map[string]map[string]bool{
		"cmd":     {"a/glue": true, "pure": true},
		"a/glue":  {"pure": true},
		"pure":    {},
		"another": {"pure": true},
	})
	want := "\n```mermaid\nflowchart TD\n  a_glue[a/glue] --> pure[pure]\n  another[another] --> pure[pure]\n  cmd[cmd] --> a_glue[a/glue]\n```\n\n" +
		"| room | imports |\n|---|---|\n| `a/glue` | `pure` |\n| `another` | `pure` |\n| `cmd` | `a/glue`, `pure` |\n| `pure` | nothing of ours |\n\n"
	if got != want {
		t.Errorf("drawn is %s", got)
	}
}
