package gateway

import (
	"bytes"
	"os/exec"
	"testing"
)

// The time zones are in every binary that has this package, one of xcaddy too: without them `time_zone` is refused where
// the system has no zone files.
func TestZonesAreInTheBinary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("\ntime/tzdata\n")) {
		t.Error("time/tzdata is not among the dependencies")
	}
}
