package quota

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// runClock returns the name of this run of the machine, and for how long it runs by a
// clock that nobody sets and that goes on while the machine sleeps. The name is "" if
// they are not known.
func runClock() (id string, up time.Duration) {
	name, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at); err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(name)), time.Duration(at.Nano())
}
