package ratelimit

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A script has one key, and writes with one command or not at all (docs/counting.md): a server that dies between two writes
// leaves half of them. A prelude.lua stands in front of all other scripts of its folder.
func TestScriptsWriteOnce(t *testing.T) {
	var scripts []string
	for _, pattern := range []string{"*.lua", "*/*.lua"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, found...)
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	preludes := make(map[string]string)
	scripts = slices.DeleteFunc(scripts, func(path string) bool {
		if filepath.Base(path) != "prelude.lua" {
			return false
		}
		preludes[filepath.Dir(path)] = read(path)
		if wrong := lintScript(read(path)); wrong != "nothing is written, and it does not say so" {
			t.Errorf("%s: must neither write nor say that nothing is written, but %q", path, wrong)
		}
		return true
	})
	if n := scriptsInGo(t); len(scripts) != n {
		t.Errorf("%d scripts are run, of which %q are files", n, scripts)
	}
	for _, path := range scripts {
		if wrong := lintScript(preludes[filepath.Dir(path)] + read(path)); wrong != "" {
			t.Errorf("%s: %s", path, wrong)
		}
	}
	for text, want := range map[string]string{
		"redis.call('SET', KEYS[1], 1) redis.call('DEL', KEYS[1])": "more than one command writes",
		"redis.call('HSET', KEYS[2], 'a', 1)":                      "it has another key",
		"redis.call('HSET', ARGV[1], 'a', 1)":                      "it has another key",
		"redis.call('HGET', KEYS[1], 'a')":                         "nothing is written, and it does not say so",
		"-- Reads only.\nredis.call('SET', KEYS[1], 1)":            "it writes, and says that it does not",
		"local c = 'DEL' redis.call(c, KEYS[1])":                   "a command cannot be told",
	} {
		if got := lintScript(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// scriptsInGo counts the scripts that are run.
func scriptsInGo(t *testing.T) (n int) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		n += strings.Count(string(text), "redisconn.NewScript(")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	scriptCall    = regexp.MustCompile(`redis\.p?call`)
	scriptCommand = regexp.MustCompile(`redis\.p?call(?:, |\()'([A-Z]+)'(?:, ([^,)]+))?`)
	// ofServer are commands without a key, readsKey those that change nothing.
	ofServer = map[string]bool{"TIME": true, "INFO": true}
	readsKey = map[string]bool{"HGET": true, "HMGET": true, "GET": true}
)

// lintScript says what is wrong with a script.
func lintScript(text string) string {
	commands, writes := scriptCommand.FindAllStringSubmatch(text, -1), 0
	if len(commands) != len(scriptCall.FindAllString(text, -1)) {
		return "a command cannot be told"
	}
	for _, c := range commands {
		if ofServer[c[1]] {
			continue
		}
		if c[2] != "KEYS[1]" {
			return "it has another key"
		}
		if !readsKey[c[1]] {
			writes++
		}
	}
	switch says := strings.Contains(text, "Reads only."); {
	case writes > 1:
		return "more than one command writes"
	case writes == 0 && !says:
		return "nothing is written, and it does not say so"
	case writes == 1 && says:
		return "it writes, and says that it does not"
	}
	return ""
}
