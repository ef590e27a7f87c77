package redistest

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockSource is a library in C. libfaketime, which does the same, does not get along
// with the allocator of redis-server.
//
//go:embed clock.c.txt
var clockSource string

// elsewhere is a time that no server has by itself.
const elsewhere = time.Hour

// Clocked starts a server whose time of day is ahead of the machine's; SetClock sets
// it. Its monotonic clock is right, as that of a host whose clock is set. It needs a C
// compiler, as the race detector does.
func Clocked(t testing.TB, ahead time.Duration, settings ...string) *Server {
	t.Helper()
	library, file := filepath.Join(t.TempDir(), "clock.so"), filepath.Join(t.TempDir(), "clock")
	compiler := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-o", library, "-x", "c", "-")
	compiler.Stdin = strings.NewReader(clockSource)
	if out, err := compiler.CombinedOutput(); err != nil {
		t.Fatalf("compiling the clock of redis-server: %v\n%s", err, out)
	}
	writeClock(t, file, ahead+elsewhere)
	s := startIn(t, place{host: "127.0.0.1", environment: []string{"LD_PRELOAD=" + library, "REDISTEST_CLOCK=" + file}}, nil, settings)
	s.clock = file
	s.awaitClock(ahead + elsewhere) // also where ahead is 0 the library must be there
	s.SetClock(ahead)
	return s
}

// SetClock sets the clock of a server that Clocked started. It has that time when
// SetClock returns.
func (s *Server) SetClock(ahead time.Duration) {
	s.t.Helper()
	writeClock(s.t, s.clock, ahead)
	s.awaitClock(ahead)
}

// awaitClock waits until the server says what time it should be: a library that was not
// loaded fails the test.
func (s *Server) awaitClock(ahead time.Duration) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the clock of redis-server is ahead by %s", ahead), func() error { return s.checkClock(ahead) })
}

// checkClock returns an error if the server has another time than it should.
func (s *Server) checkClock(ahead time.Duration) error {
	answer, err := s.do("TIME")
	if err != nil {
		return err
	}
	list, _ := answer.([]any)
	if len(list) != 2 {
		return fmt.Errorf("TIME is answered %v", answer)
	}
	seconds, err := strconv.ParseInt(fmt.Sprint(list[0]), 10, 64)
	if err != nil {
		return err
	}
	if off := time.Until(time.Unix(seconds, 0)) - ahead; off.Abs() > 2*time.Second {
		return fmt.Errorf("it is off by %s", off)
	}
	return nil
}

// writeClock writes the nanoseconds in place: the server has mapped the file.
func writeClock(t testing.TB, path string, ahead time.Duration) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(ahead)), 0)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
