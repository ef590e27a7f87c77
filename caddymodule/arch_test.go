package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of docs/architecture.md as a test: which room may know which, who may import which library, what may lie
// at the top level. It reads the files alone, all of them whatever their build tags, and needs nothing to compile.

const module = "github.com/edgegate/edgegate"

// topLevel are the entries beside dotfiles that there may be.
var topLevel = []string{
	"cmd", "caddymodule", "routing", "regions", "ratelimit", "configs", "docs",
	"go.mod", "go.sum", "README.md", "LICENSE", "SECURITY.md", "Makefile",
}

// maxLines is where a file has to be split, maxFiles where a package has; tests and generated files do not count.
const (
	maxLines = 400
	maxFiles = 35
)

// sourceFile is one Go file of the tree, with its path from the repository's root in slashes.
type sourceFile struct {
	path  string
	lines int
	fset  *token.FileSet
	ast   *ast.File
}

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func TestArchitecture(t *testing.T) {
	files := parseTree(t, "..")
	documented := make(map[string]bool)
	for _, f := range files {
		dir := filepath.ToSlash(filepath.Dir(f.path))
		documented[dir] = documented[dir] || isPackageComment(f.ast)

		for _, spec := range f.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("reading an import of %s: %v", f.path, err)
			}
			if reason := forbiddenImport(f.path, imported); reason != "" {
				t.Errorf("%s imports %s: %s (docs/architecture.md)", f.path, imported, reason)
			}
		}
		for _, name := range uses(f.ast, "net/http") {
			if reason := forbiddenHTTP(f.path, name); reason != "" {
				t.Errorf("%s uses http.%s: %s", f.path, name, reason)
			}
		}
		if f.lines > maxLines && !f.isTest() && !ast.IsGenerated(f.ast) {
			t.Errorf("%s has %d lines: more than %d hide a second role, split it", f.path, f.lines, maxLines)
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment: say what it decides and what it does not", dir)
		}
	}
}

// TestPackages fails for a package that has grown beyond a room, and for one that shows nobody how it is used.
func TestPackages(t *testing.T) {
	type inside struct {
		files             int
		exported, example bool
	}
	packages := make(map[string]*inside)
	for _, f := range parseTree(t, "..") {
		dir := path.Dir(f.path)
		if packages[dir] == nil {
			packages[dir] = new(inside)
		}
		in := packages[dir]
		switch {
		case f.isTest():
			in.example = in.example || slices.ContainsFunc(f.ast.Decls, isExample)
		case !ast.IsGenerated(f.ast):
			in.files++
			in.exported = ast.FileExports(f.ast) || in.exported
		}
	}
	for dir, in := range packages {
		if in.files > maxFiles {
			t.Errorf("package %s has %d files: more than %d hide a second room, see docs/architecture.md", dir, in.files, maxFiles)
		}
		if in.exported && !in.example && isPublic(dir) {
			t.Errorf("package %s has no example: write one that runs, in %s/example_test.go", dir, dir)
		}
	}
}

func isExample(d ast.Decl) bool {
	f, ok := d.(*ast.FuncDecl)
	return ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Example")
}

// usedByCaddyfile are packages of modules, commands and the demo. What shows how they are used is no Go: the pages of docs, and the
// Caddyfiles of caddymodule/integration.
var usedByCaddyfile = []string{
	"caddymodule/gateway", "caddymodule/admin", "caddymodule/sources", "caddymodule/exporters", "caddymodule/permission", "caddymodule/cli", "caddymodule/demo",
	"caddymodule/supabase",
}

// isPublic tells whether others may build on the package in dir: it is no command, not internal, and not for tests alone.
func isPublic(dir string) bool {
	if _, ok := forTests[module+"/"+dir]; ok {
		return false
	}
	return !anyWithin(dir, usedByCaddyfile) && !anyWithin(dir, []string{"cmd/...", "caddymodule/integration/..."}) &&
		!strings.Contains("/"+dir+"/", "/internal/")
}

func TestTopLevel(t *testing.T) {
	for _, name := range topLevelEntries(t, "..") {
		if !allowedAtTop(name) {
			t.Errorf("%s lies at the top level, which is fixed: find its room in docs/architecture.md", name)
		}
	}
}

func allowedAtTop(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(topLevel, name)
}

// topLevelEntries prefers what git tracks, so that a binary built by hand is nobody's business; an unpacked archive has
// only the directory itself.
func topLevelEntries(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
		// the tree may belong to another user, as in many containers
		out, err := exec.Command("git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z").Output()
		if err != nil {
			t.Fatalf("listing tracked files: %v", err)
		}
		for path := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
			name, _, _ := strings.Cut(path, "/")
			names = append(names, name)
		}
	} else {
		entries, err := os.ReadDir(root)
		if err != nil {
			t.Fatalf("listing the top level: %v", err)
		}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if !slices.Contains(names, "go.mod") {
		t.Fatalf("the top level has no go.mod: %q", names)
	}
	return names
}

// parseTree reads every Go file below root but what the go command ignores too.
func parseTree(t *testing.T, root string) []sourceFile {
	t.Helper()
	var files []sourceFile
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		lines := fset.File(parsed.FileStart).LineCount()
		files = append(files, sourceFile{path: filepath.ToSlash(short), lines: lines, fset: fset, ast: parsed})
		return nil
	})
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d Go files: the tree was not read", len(files))
	}
	return files
}

// isPackageComment tells a comment in godoc's form from a stray one above the package clause.
func isPackageComment(file *ast.File) bool {
	text := file.Doc.Text()
	if file.Name.Name == "main" {
		return strings.HasPrefix(text, "Command ")
	}
	return strings.HasPrefix(text, "Package "+strings.TrimSuffix(file.Name.Name, "_test")+" ")
}

// uses lists what file names of the package path, each once.
func uses(file *ast.File, path string) []string {
	local := ""
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(path) {
			continue
		}
		local = path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			local = spec.Name.Name
		}
	}
	if local == "" {
		return nil
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				names = append(names, sel.Sel.Name)
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}
