package durable

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

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

func textOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writes(text string) func(*os.File) error {
	return func(file *os.File) error {
		_, err := file.WriteString(text)
		return err
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := Replace(path, 0o600, writes("the first")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is full")
	err := Replace(path, 0o600, func(file *os.File) error { return errors.Join(writes("half")(file), broken) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if got, names := textOf(t, path), namesIn(t, dir); got != "the first" || !slices.Equal(names, []string{"file"}) {
		t.Errorf("after a failure: %q in %q", got, names)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := Replace(filepath.Join(dir, "missing", "file"), 0o600, writes("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

// A crash while the file is written is a panic that leaves the temporary file; the next call overwrites it.
func TestReplaceAfterCrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := Replace(path, 0o600, writes("the first")); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = Replace(path, 0o600, func(file *os.File) error {
			_ = writes("half of something long")(file)
			panic("crash")
		})
	}()
	if got, names := textOf(t, path), namesIn(t, dir); got != "the first" || !slices.Equal(names, []string{".file", "file"}) {
		t.Errorf("after the crash: %q in %q", got, names)
	}
	if err := Replace(path, 0o600, writes("the second")); err != nil {
		t.Fatal(err)
	}
	if got, names := textOf(t, path), namesIn(t, dir); got != "the second" || !slices.Equal(names, []string{"file"}) {
		t.Errorf("after the next call: %q in %q", got, names)
	}
}

// The directory is synced after the rename, and an error of that is returned.
func TestReplaceSyncsDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	broken := errors.New("the disk is gone")
	var synced []string
	err := replace(path, 0o600, writes("the first"), func(dir string) error {
		synced = append(synced, dir, textOf(t, path))
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if !slices.Equal(synced, []string{dir, "the first"}) {
		t.Errorf("synced %q", synced)
	}
}
