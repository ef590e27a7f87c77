//go:build e2e

package manual

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// helps remembers what `edgegate ... --help` said.
var helps sync.Map

func help(binary string, path []string) (string, error) {
	key := strings.Join(path, " ")
	if text, ok := helps.Load(key); ok {
		return text.(string), nil
	}
	out, err := exec.Command(binary, append(path, "--help")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("edgegate %s --help: %w", key, err)
	}
	helps.Store(key, string(out))
	return string(out), nil
}

var (
	listed    = regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}\S`)
	flagName  = regexp.MustCompile(`^--?([a-z][a-z-]*)`)
	goTest    = regexp.MustCompile(`-(run|bench) ('[^']*'|\S+)`)
	goPackage = regexp.MustCompile(`(?:^| )(\./\S*)`)
	atFile    = regexp.MustCompile(`@([a-z]\S*)`)
)

// checkNames looks up what a command that is not run names.
func checkNames(binary, command string) error {
	command = strings.ReplaceAll(command, "\\\n", " ")
	words := strings.Fields(command)
	for len(words) > 0 && regexp.MustCompile(`^[A-Z][A-Z0-9_]*=`).MatchString(words[0]) {
		words = words[1:]
	}
	switch {
	case len(words) == 0:
		return nil
	case words[0] == "edgegate" || words[0] == "./edgegate":
		return edgegateNames(binary, words[1:])
	case strings.HasPrefix(command, "go run ./cmd/edgegate"):
		return edgegateNames(binary, words[3:])
	case words[0] == "make":
		makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
		if err != nil {
			return err
		}
		for _, target := range words[1:] {
			if variable, _, ok := strings.Cut(target, "="); ok {
				if !strings.Contains(string(makefile), "$("+variable+")") {
					return fmt.Errorf("the Makefile reads no %s", variable)
				}
				continue
			}
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).Match(makefile) {
				return fmt.Errorf("the Makefile has no target %s", target)
			}
		}
		return nil
	case words[0] == "go":
		return goNames(command)
	case words[0] == "curl":
		for _, m := range atFile.FindAllStringSubmatch(command, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				return err
			}
		}
	}
	return nil
}

// edgegateNames looks up commands and flags in the help of the binary.
func edgegateNames(binary string, words []string) error {
	var path []string
	text, err := help(binary, nil)
	for _, word := range words {
		if err != nil {
			return err
		}
		word = strings.Trim(word, "[](),;|")
		if flag := flagName.FindStringSubmatch(word); flag != nil {
			if !regexp.MustCompile(`(?m)(^|\s)--?` + flag[1] + `\b`).MatchString(text) {
				return fmt.Errorf("edgegate %s has no flag %s", strings.Join(path, " "), word)
			}
			continue
		}
		known := false
		_, commands, _ := strings.Cut(text, "Available Commands:")
		for _, m := range listed.FindAllStringSubmatch(commands, -1) {
			known = known || m[1] == word
		}
		switch {
		case known:
			path = append(path, word)
			text, err = help(binary, path)
		case commands != "" && regexp.MustCompile(`^[a-z-]+$`).MatchString(word):
			return fmt.Errorf("edgegate %s has no command %s", strings.Join(path, " "), word)
		}
	}
	return err
}

// goNames looks for the packages and the tests or benchmarks of a go command.
func goNames(command string) error {
	var sources strings.Builder
	for _, m := range goPackage.FindAllStringSubmatch(command, -1) {
		dir, all := strings.CutSuffix(m[1], "/...")
		path := filepath.Join(root, filepath.FromSlash(dir))
		if info, err := os.Stat(path); err != nil {
			return fmt.Errorf("no package %s: %w", m[1], err)
		} else if !info.IsDir() || all {
			continue
		}
		files, _ := filepath.Glob(filepath.Join(path, "*.go"))
		if len(files) == 0 {
			return fmt.Errorf("no Go file in %s", m[1])
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			sources.Write(text)
		}
	}
	if sources.Len() == 0 {
		return nil
	}
	prefixes := map[string]string{"run": "(Test|Example|Fuzz)", "bench": "Benchmark"}
	for _, m := range goTest.FindAllStringSubmatch(command, -1) {
		name := strings.Trim(m[2], "'")
		if name == "^$" || name == "." {
			continue
		}
		wanted, functions := regexp.MustCompile(name), regexp.MustCompile(`(?m)^func (`+prefixes[m[1]]+`\w*)`).FindAllStringSubmatch(sources.String(), -1)
		if !slices.ContainsFunc(functions, func(f []string) bool { return wanted.MatchString(f[1]) }) {
			return errors.New("no test or benchmark is called " + name + " there")
		}
	}
	return nil
}

var (
	inline  = regexp.MustCompile("`((?:edgegate|\\./edgegate|go run|go test|go generate|make) [^`]+)`")
	comment = regexp.MustCompile(`^#\s+((?:edgegate|make|go) .*)$`)
)

// TestInlineCommands looks up the names of commands that stand in sentences and tables, and in the comments of configs.
func TestInlineCommands(t *testing.T) {
	binary := build(t)
	found := 0
	for _, p := range papers(t) {
		for _, l := range p.prose {
			for _, m := range inline.FindAllStringSubmatch(l.text, -1) {
				found++
				if err := checkNames(binary, strings.ReplaceAll(m[1], `\|`, "|")); err != nil {
					t.Errorf("%s:%d: `%s`: %v", p.path, l.number, m[1], err)
				}
			}
		}
	}
	configs, err := filepath.Glob(filepath.Join(root, "configs", "Caddyfile*"))
	if err != nil || len(configs) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	for _, path := range configs {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range strings.Split(string(text), "\n") {
			if m := comment.FindStringSubmatch(l); m != nil {
				found++
				if err := checkNames(binary, m[1]); err != nil {
					t.Errorf("%s:%d: %v", path, i+1, err)
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d commands were found", found)
	}
}
