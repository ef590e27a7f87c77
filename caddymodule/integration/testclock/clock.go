//go:build unix

package testclock

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// variable names the file of a process that Build made.
const variable = "EDGEGATE_TEST_CLOCK"

// Clock is by how much the clocks of the processes that it is given to are ahead of the machine's. It may be set while they
// run, and goes on through restarts of them.
type Clock struct {
	file  string
	ahead *atomic.Int64
}

// New returns a clock that is ahead by d, until the test ends.
func New(t testing.TB, d time.Duration) *Clock {
	t.Helper()
	c := &Clock{file: filepath.Join(t.TempDir(), "clock")}
	f, err := os.OpenFile(c.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(8); err != nil {
		t.Fatal(err)
	}
	shared, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatalf("mapping %s: %v", c.file, err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(shared) })
	c.ahead = (*atomic.Int64)(unsafe.Pointer(&shared[0])) // #nosec G103 -- eight bytes at the start of a page
	c.Set(d)
	return c
}

// Environment returns the variable that gives the clock to a process.
func (c *Clock) Environment() string { return variable + "=" + c.file }

// Set sets the clock: it is ahead of the machine's by d from now on.
func (c *Clock) Set(d time.Duration) { c.ahead.Store(int64(d)) }

// Ahead returns by how much the clock is ahead of the machine's.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }
