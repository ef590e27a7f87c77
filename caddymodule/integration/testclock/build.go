package testclock

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// addition is a file for Go's package time, beside its own. It is not one of this module's.
//
//go:embed testdata/ahead.go.txt
var addition []byte

// head is how Now begins in Go's time.go; edited is what it begins with here.
const (
	head   = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	edited = head + "\tsec, nsec = shifted(sec, nsec)\n"
)

// library returns the directory of Go's package time.
func library() (string, error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for GOROOT: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(goroot)), "src", "time"), nil
}

// edit changes Go's time.go.
func edit(source string) (string, error) {
	if strings.Count(source, head) != 1 {
		return "", fmt.Errorf("time.Now of this Go does not begin with %q: change head of caddymodule/integration/testclock/build.go to how it begins now", head)
	}
	return strings.Replace(source, head, edited, 1), nil
}

// Overlay writes a package time whose Now adds what a file says into a directory, and returns the file that -overlay of the
// go command wants for it.
func Overlay(dir string) (file string, err error) {
	library, err := library()
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return "", fmt.Errorf("reading Go's own source: %w", err)
	}
	changed, err := edit(string(source))
	if err != nil {
		return "", err
	}
	replaced := map[string]string{
		filepath.Join(library, "time.go"):      filepath.Join(dir, "time.go"),
		filepath.Join(library, "testclock.go"): filepath.Join(dir, "testclock.go"),
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, errors.Join(
		os.WriteFile(filepath.Join(dir, "time.go"), []byte(changed), 0o600), // #nosec G703 -- the test's own directory
		os.WriteFile(filepath.Join(dir, "testclock.go"), addition, 0o600),
		os.WriteFile(file, overlay, 0o600),
	)
}

// Build compiles ./cmd/edgegate of the module whose root is given, into a directory, and returns the file. All packages are
// compiled for it the first time; afterwards Go's cache has them.
func Build(root, dir string) (file string, err error) {
	overlay, err := Overlay(dir)
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "edgegate")
	// #nosec G204 -- the test's own arguments
	build := exec.Command("go", "build", "-trimpath", "-overlay", overlay, "-o", file, "./cmd/edgegate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building cmd/edgegate with another clock: %w\n%s", err, out)
	}
	return file, nil
}
