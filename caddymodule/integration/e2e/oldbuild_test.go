//go:build e2e && soak

package e2e

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// oldCommit is the last one whose lines have no billing period in their ids, and whose files have no checksums.
const oldCommit = "6bf30561f014359933074b26b30b4ac2c7fe9f47"

// pastProgram is a program that is compiled in the source tree of the old build: it writes a ledger with usage of past hours.
//
//go:embed testdata/usedbefore.go.txt
var pastProgram []byte

// oldPrograms are made of the source of the old build, by the first test that needs them.
type oldPrograms struct{ gateway, past string }

var olds = sync.OnceValues(func() (programs oldPrograms, err error) {
	root, dir := filepath.Join("..", "..", ".."), filepath.Join(shared.dir, "old")
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o700); err != nil {
		return programs, err
	}
	run := func(in, name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Dir = in
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
		}
		return nil
	}
	tar := filepath.Join(dir, "source.tar")
	if err := run(root, "git", "archive", "--output", tar, oldCommit); err != nil {
		return programs, fmt.Errorf("this test needs the history up to commit %.7s: run `git fetch --unshallow` in a shallow checkout: %w", oldCommit, err)
	}
	if err := run(source, "tar", "-xf", tar); err != nil {
		return programs, err
	}
	program := filepath.Join(source, "cmd", "usedbefore")
	if err := os.Mkdir(program, 0o700); err != nil {
		return programs, err
	}
	if err := os.WriteFile(filepath.Join(program, "main.go"), pastProgram, 0o600); err != nil {
		return programs, err
	}
	programs = oldPrograms{gateway: filepath.Join(dir, "edgegate"), past: filepath.Join(dir, "usedbefore")}
	return programs, run(source, "go", "build", "-trimpath", "-o", dir, "./cmd/edgegate", "./cmd/usedbefore")
})

// oldUse is a number of invocations for pastProgram to write, and how long ago they were made.
type oldUse struct {
	ago         time.Duration
	invocations int
}

// leave writes it into a ledger, the earliest first.
func (p oldPrograms) leave(t *testing.T, dir string, uses ...oldUse) {
	t.Helper()
	args := []string{dir, firstRef}
	for _, u := range uses {
		args = append(args, u.ago.String(), strconv.Itoa(u.invocations))
	}
	if out, err := exec.CommandContext(t.Context(), p.past, args...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}
