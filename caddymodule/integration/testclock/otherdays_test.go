//go:build soak

package testclock

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// dated are the packages whose tests have dates in them. Packages with tests in virtual time are not among them, for in it a
// clock cannot be set, nor are those that start a program of their own.
var dated = []string{
	"./ratelimit/...",
	"./routing/auth/...",
	"./routing/projects/...",
	"./caddymodule/admin/...",
	"./caddymodule/audit/...",
	"./caddymodule/fleet/...",
	"./caddymodule/gateway/...",
	"./caddymodule/logs/...",
	"./caddymodule/sources/...",
}

// Tests hold on other days than today: in the first and the last minutes of a month and of a year, on a leap day, when clocks
// are put forward, and years after the dates that are written in them.
func TestOtherDays(t *testing.T) {
	overlay, err := Overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range []time.Time{
		time.Date(2026, 12, 31, 23, 58, 30, 0, time.UTC),
		time.Date(2027, 1, 31, 23, 0, 0, 0, time.UTC),
		time.Date(2027, 3, 28, 0, 59, 30, 0, time.UTC),
		time.Date(2028, 2, 29, 0, 10, 0, 0, time.UTC),
		time.Date(2031, 6, 1, 0, 0, 5, 0, time.UTC),
	} {
		t.Run(day.Format(time.RFC3339), func(t *testing.T) {
			clock := New(t, time.Until(day))
			test := exec.Command("go", append([]string{"test", "-count=1", "-overlay", overlay}, dated...)...)
			test.Dir = "../../.."
			test.Env = append(os.Environ(), clock.Environment())
			out, err := test.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "ok ") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
