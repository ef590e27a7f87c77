package metering

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// names returns a dictionary with the subjects a0 to a9 and two regions.
func names(t *testing.T) (path string, whole []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "dict.seg")
	d, err := openDictionary(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := d.subject(Subject{Organization: fmt.Sprintf("a%d", i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.region([]string{"eu", "us"}[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if whole, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, whole
}

// A bad line takes no other with it: whichever byte is wrong, it is an error with its place, and the file stays as it is.
func TestDictionaryLosesNothing(t *testing.T) {
	path, whole := names(t)
	for at := range whole {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openDictionary(path)
		var damage *durable.DamageError
		start := int64(bytes.LastIndexByte(whole[:at], '\n') + 1)
		if !errors.As(err, &damage) || damage.File != path || damage.Offset != start {
			t.Fatalf("byte %d is wrong, in the line from %d on: %v", at, start, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, damaged) {
			t.Fatalf("byte %d is wrong: opening changed the file: %v", at, err)
		}
	}
}

// smallDisk is the file of a dictionary on a disk with room for some bytes only.
type smallDisk struct {
	*os.File

	room                  int
	noTruncate, noSync    bool
	written, cut, flushed int
}

var errSmall = errors.New("no space left on device")

func (f *smallDisk) WriteAt(b []byte, at int64) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	f.written++
	if _, err := f.File.WriteAt(b[:n], at); err != nil || n == len(b) {
		return n, err
	}
	return n, errSmall
}

func (f *smallDisk) Truncate(size int64) error {
	if f.noTruncate {
		return errSmall
	}
	f.cut++
	return f.File.Truncate(size)
}

func (f *smallDisk) Sync() error {
	if f.noSync {
		return errSmall
	}
	f.flushed++
	return f.File.Sync()
}

// A name for which the disk has no room is taken back, wherever the write stopped; the names after it, once there is
// room, are there after a restart.
func TestDictionaryOnAFullDisk(t *testing.T) {
	for room := range 40 {
		for _, noTruncate := range []bool{false, true} {
			path, whole := names(t)
			d, err := openDictionary(path)
			if err != nil {
				t.Fatal(err)
			}
			disk := &smallDisk{File: d.file.(*os.File), room: room, noTruncate: noTruncate}
			d.file = disk
			long := Subject{Organization: strings.Repeat("long", 20)}
			if id, err := d.subject(long); !errors.Is(err, errSmall) {
				t.Fatalf("room for %d bytes: %d, %v", room, id, err)
			}
			disk.room = 1 << 20
			if noTruncate {
				if id, err := d.subject(Subject{Organization: "x"}); !errors.Is(err, errSmall) {
					t.Fatalf("a line that cannot be taken back: %d, %v", id, err)
				}
				disk.noTruncate = false
			} else if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
				t.Fatalf("room for %d bytes: %q is left, %v", room, got[len(whole):], err)
			}
			for i, s := range []Subject{{Organization: "x"}, {Organization: "y"}, long} {
				if id, err := d.subject(s); err != nil || int(id) != 10+i {
					t.Fatalf("%d, %v", id, err)
				}
			}
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			if d, err = openDictionary(path); err != nil || len(d.subjects) != 13 || d.lookup(11).Organization != "y" {
				t.Fatalf("%+v, %v", d, err)
			}
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Nobody gets a number whose name a power loss could take; only `sync none` does without.
func TestDictionarySettlesNumbers(t *testing.T) {
	path, _ := names(t)
	d, err := openDictionary(path)
	if err != nil {
		t.Fatal(err)
	}
	disk := &smallDisk{File: d.file.(*os.File), room: 1 << 20, noSync: true}
	d.file = disk
	for range 2 {
		if _, err := d.subject(Subject{Organization: "new"}); !errors.Is(err, errSmall) {
			t.Errorf("a subject: %v, want %v", err, errSmall)
		}
		if _, err := d.region("new"); !errors.Is(err, errSmall) {
			t.Errorf("a region: %v, want %v", err, errSmall)
		}
	}
	d.lazy.Store(true)
	if id, err := d.subject(Subject{Organization: "new"}); id != 10 || err != nil {
		t.Errorf("sync none: %d, %v", id, err)
	}
	d.lazy.Store(false)
	disk.noSync = false
	for range 2 {
		if id, err := d.region("new"); id != 3 || err != nil {
			t.Errorf("%d, %v", id, err)
		}
	}
	if disk.flushed != 1 {
		t.Errorf("synced %d times, want once", disk.flushed)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
}
