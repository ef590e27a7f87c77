package durable

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func linesOf(t *testing.T, path string) (lines []string) {
	t.Helper()
	if _, err := ReadLines(path, func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	if got := linesOf(t, path); got != nil {
		t.Errorf("a file that is not there: %q", got)
	}
	long := strings.Repeat("x", 5000)
	for _, line := range []string{"one", long, "three"} {
		if err := Append(path, 0o600, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if got := linesOf(t, path); !slices.Equal(got, []string{"one", long, "three"}) {
		t.Errorf("%q", got)
	}
	if err := Append(filepath.Join(path, "below"), 0o600, nil); err == nil {
		t.Error("a line was appended below a file")
	}
	if _, err := ReadLines(filepath.Dir(path), nil); err == nil {
		t.Error("a directory has lines")
	}
}

// A crash leaves the start of a line. Reading leaves it there, appending writes over it, however long it is.
func TestLinesAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	for _, torn := range []string{"t", strings.Repeat("x", 10_000)} {
		text := "one\ntwo\n" + torn
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := linesOf(t, path); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%q", got)
		}
		if textOf(t, path) != text {
			t.Error("reading changed the file")
		}
		if err := Append(path, 0o600, []byte("three")); err != nil {
			t.Fatal(err)
		}
		if got := textOf(t, path); got != "one\ntwo\nthree\n" {
			t.Errorf("%q", got)
		}
	}
}

// A bad line is told with its place; what is after it stays.
func TestLinesTellOfDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	const text = "one\nbad\nthree\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ReadLines(path, func(line []byte) error {
		if string(line) == "bad" {
			return errors.New("it is bad")
		}
		return nil
	})
	var damage *DamageError
	if !errors.As(err, &damage) || damage.File != path || damage.Offset != 4 || !strings.Contains(err.Error(), "byte 4") || !strings.Contains(err.Error(), Mending) {
		t.Errorf("%v", err)
	}
	if textOf(t, path) != text {
		t.Error("reading changed the file")
	}
	if got := (&DamageError{File: "f", Offset: -1, What: "gone", Remedy: "copy it"}).Error(); got != "f: damaged: gone; copy it" {
		t.Error(got)
	}
}

// fullDisk is a file on a disk that has room for some bytes only.
type fullDisk struct {
	*os.File

	room    int
	noSync  bool
	noTrunc bool
}

var errFull = errors.New("no space left on device")

func (f *fullDisk) WriteAt(b []byte, at int64) (int, error) {
	n := min(len(b), f.room)
	written, err := f.File.WriteAt(b[:n], at)
	if n < len(b) {
		err = errors.Join(err, errFull)
	}
	return written, err
}

func (f *fullDisk) Sync() error {
	if f.noSync {
		return errFull
	}
	return f.File.Sync()
}

func (f *fullDisk) Truncate(size int64) error {
	if f.noTrunc {
		return errFull
	}
	return f.File.Truncate(size)
}

// A line for which the disk has no room is taken back, and the lines after it are whole, wherever the write stopped.
func TestAppendTakesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	for _, full := range []fullDisk{{}, {room: 3}, {room: 3, noTrunc: true}, {room: 100, noSync: true}} {
		if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		full.File = file
		if err := appendTo(&full, []byte("a longer line")); !errors.Is(err, errFull) {
			t.Errorf("got %v, want %v", err, errFull)
		}
		if got := textOf(t, path); got != "one\n" && !full.noTrunc {
			t.Errorf("%q is left", got)
		}
		if full.noTrunc {
			if err := appendTo(&full, []byte("x")); !errors.Is(err, errFull) {
				t.Errorf("after a line that cannot be taken back: %v", err)
			}
		}
		if err := errors.Join(file.Close(), Append(path, 0o600, []byte("two"))); err != nil {
			t.Fatal(err)
		}
		if got := textOf(t, path); got != "one\ntwo\n" {
			t.Errorf("%q", got)
		}
	}
}
