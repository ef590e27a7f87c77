package caddymodule_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Comments and pages may cite what everybody can read: pages of this repository, and what is public.

// textFile is a file that people wrote, with its path from the repository's root in slashes.
type textFile struct{ path, text string }

// textEndings are the kinds of files whose comments and prose cite.
var textEndings = []string{".go", ".md", ".mjs", ".ts", ".lua", ".sh", ".yml", ".yaml", "Makefile", ".txt", ".json"}

// texts reads what people wrote below root, without what the checks installed or built.
func texts(t *testing.T, root string) []textFile {
	t.Helper()
	var files []textFile
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name == ".git" || name == "node_modules" || name == "testdata" || strings.HasSuffix(path, ".ci/bin") || strings.HasSuffix(path, ".ci/out") || strings.HasSuffix(path, ".ci/node") {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || !slices.ContainsFunc(textEndings, func(end string) bool { return strings.HasSuffix(name, end) }) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files = append(files, textFile{filepath.ToSlash(short), string(text)})
		return nil
	})
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	if len(files) < 100 {
		t.Fatalf("found only %d files: the tree was not read", len(files))
	}
	return files
}

var (
	paper     = regexp.MustCompile(`\b([A-Z][A-Z-]{3,}|docs/[a-z-]+)\.md\b`)
	oldNumber = regexp.MustCompile(`\bBEHAV` + `IOUR\b`)
)

// TestPapersAreHere fails for a paper that is cited and not in the repository.
func TestPapersAreHere(t *testing.T) {
	files := texts(t, "..")
	for _, file := range files {
		for _, m := range paper.FindAllStringSubmatch(file.text, -1) {
			name := m[1] + ".md"
			if !slices.ContainsFunc(files, func(f textFile) bool { return f.path == name || strings.HasSuffix(f.path, "/"+name) }) {
				t.Errorf("%s cites %s, which nobody outside can open: cite a page of docs, or say the thing itself", file.path, name)
			}
		}
		if oldNumber.MatchString(file.text) {
			t.Errorf("%s cites rules of the contract otherwise than as `contract 7.2`", file.path)
		}
	}
}

// ourPath is a path of the repository in a page, as `regions/transport.go` or `ratelimit/billing`.
var ourPath = regexp.MustCompile("`((?:caddymodule|routing|regions|ratelimit|cmd|configs|docs|\\.ci)/[A-Za-z0-9_./-]*)`")

// TestPathsAreHere fails for a file or folder that a page about the code names and that is gone.
func TestPathsAreHere(t *testing.T) {
	for _, page := range []string{"docs/architecture.md", "docs/contributing.md"} {
		text, err := os.ReadFile(filepath.Join("..", page))
		if err != nil {
			t.Fatal(err)
		}
		found := ourPath.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names no file", page)
		}
		for _, m := range found {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil && !strings.HasPrefix(m[1], ".ci/out") {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
}
