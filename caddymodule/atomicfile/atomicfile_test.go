package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func textOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// created writes text to a new temporary file of path.
func created(t *testing.T, path, text string) *File {
	t.Helper()
	file, err := Create(path, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return file
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"the first", "the second"} {
		file := created(t, path, text)
		if err := file.Commit(); err != nil {
			t.Fatal(err)
		}
		file.Discard() // as a deferred call does
		if got, names := textOf(t, path), namesIn(t, dir); got != text || !slices.Equal(names, []string{"file"}) {
			t.Errorf("%q in %q, want %q", got, names, text)
		}
		if err := file.Commit(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a second Commit: %v", err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A crash is a file that is neither committed nor discarded.
func TestCrashLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := created(t, path, "the first").Commit(); err != nil {
		t.Fatal(err)
	}
	crashed := created(t, path, "half of the second")
	if got := textOf(t, path); got != "the first" {
		t.Errorf("after the crash: %q", got)
	}
	names := namesIn(t, dir)
	if len(names) != 2 || !strings.HasPrefix(names[0], ".file.") || names[1] != "file" {
		t.Errorf("files %q", names)
	}
	if err := created(t, path, "the third").Commit(); err != nil {
		t.Fatal(err)
	}
	crashed.Discard()
	if got, names := textOf(t, path), namesIn(t, dir); got != "the third" || !slices.Equal(names, []string{"file"}) {
		t.Errorf("at the end: %q in %q", got, names)
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(filepath.Join(dir, "missing", "file"), 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	path := filepath.Join(dir, "directory")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := created(t, path, "x").Commit(); err == nil {
		t.Error("a directory was replaced")
	}
	if names := namesIn(t, dir); !slices.Equal(names, []string{"directory"}) {
		t.Errorf("files after the failure: %q", names)
	}
	if err := syncDirectory(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("syncing a missing directory: %v", err)
	}
}

// The directory is synced after the rename, and an error of that is returned.
func TestCommitSyncsDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	broken := errors.New("the disk is gone")
	file := created(t, path, "the first")
	var synced []string
	file.syncDir = func(dir string) error {
		synced = append(synced, dir, textOf(t, path))
		return broken
	}
	if err := file.Commit(); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if !slices.Equal(synced, []string{dir, "the first"}) {
		t.Errorf("synced %q", synced)
	}
}
