//go:build e2e

package manual

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkJSON parses a block, and has `projects check` judge it if it is a projects file.
func checkJSON(binary, dir string, b block) error {
	var value any
	if err := json.Unmarshal([]byte(b.text), &value); err != nil {
		return fmt.Errorf("%s: not one JSON value: %w", b.at(0), err)
	}
	if !isProjectsFile(value) {
		return nil
	}
	env, err := environment(b.text)
	if err != nil {
		return fmt.Errorf("%s: %w", b.at(0), err)
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-%d.json", strings.ReplaceAll(b.page, "/", "-"), b.line))
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(binary, "projects", "check", file)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: the projects file is refused:\n%s", b.at(0), out)
	}
	return nil
}

// isProjectsFile tells a file of projects from answers that list some: only the former has functions one by one.
func isProjectsFile(value any) bool {
	document, _ := value.(map[string]any)
	all, _ := document["projects"].([]any)
	for _, item := range all {
		project, _ := item.(map[string]any)
		if _, listed := project["functions"].([]any); listed && project["ref"] != nil {
			return true
		}
	}
	return false
}

// TestJSON parses each JSON block.
func TestJSON(t *testing.T) {
	binary := build(t)
	dir := t.TempDir()
	checked := 0
	for _, p := range papers(t) {
		for _, b := range p.blocks {
			if b.lang != "json" {
				continue
			}
			checked++
			if err := checkJSON(binary, dir, b); err != nil {
				t.Error(err)
			}
		}
	}
	if checked < 8 {
		t.Errorf("only %d blocks of JSON were found", checked)
	}
}
