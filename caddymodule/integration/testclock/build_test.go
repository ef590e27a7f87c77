package testclock

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The edit fits the Go that compiles this, and one that it does not fit is told what to do.
func TestEdit(t *testing.T) {
	dir, err := library()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(dir, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := edit(string(source))
	if err != nil || strings.Replace(got, "\tsec, nsec = shifted(sec, nsec)\n", "", 1) != string(source) {
		t.Errorf("the edit changes more than a line, or fails: %v", err)
	}
	if strings.Contains(string(source), "shifted(") {
		t.Error("Go has a function of the name shifted itself")
	}
	if _, err := edit(strings.ReplaceAll(string(source), "runtimeNow()", "otherNow()")); err == nil || !strings.Contains(err.Error(), "build.go") {
		t.Errorf("a source that does not fit: %v", err)
	}
}
