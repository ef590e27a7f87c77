package demo

import (
	"bytes"
	"encoding/json"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// execute runs the command as `edgegate demo args...` and returns its outputs and the exit code Caddy's Main would use.
func execute(args ...string) (stdout, stderr string, code int) {
	root := &cobra.Command{Use: "edgegate", SilenceUsage: true}
	cmd := &cobra.Command{Use: "demo"}
	setUp(cmd)
	root.AddCommand(cmd)
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"demo"}, args...))
	err := root.Execute()
	return out.String(), errs.String(), exitCode(err)
}

// exitCode reads the unexported error that Caddy's Main looks for.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct && v.Type().Name() == "exitError" {
		return int(v.FieldByName("ExitCode").Int())
	}
	return 1
}

func TestCommandErrorsAreOneJSONLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	t.Setenv("PATH", t.TempDir())
	folder := t.TempDir()
	writeFile(t, folder, "hello/index.ts", "")

	for _, c := range []struct {
		name  string
		args  []string
		code  int
		error string
		hint  string
	}{
		{"port in use", []string{"--listen", taken.Addr().String()}, 1, "in use", "--listen"},
		{"bad listen", []string{"--listen", "nowhere"}, 2, `--listen "nowhere"`, "host:port"},
		{"unknown flag", []string{"--nope"}, 2, "unknown flag: --nope", "--help"},
		{"flag without a value", []string{"--listen"}, 2, "flag needs an argument", "--help"},
		{"argument", []string{"now"}, 2, `got "now"`, "--help"},
		{"no such folder", []string{"--listen", "127.0.0.1:0", "--deno", folder + "/none"}, 1, "no such file", "index.ts"},
		{"no functions", []string{"--listen", "127.0.0.1:0", "--deno", t.TempDir()}, 1, "no function in", "index.ts"},
		{"no deno", []string{"--listen", "127.0.0.1:0", "--deno", folder}, 1, "deno is not on PATH", "npm install -g deno"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := execute(c.args...)
			if code != c.code || stdout != "" {
				t.Errorf("exit code %d, stdout %q", code, stdout)
			}
			if strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
				t.Fatalf("not one line: %q", stderr)
			}
			var line struct{ Error, Hint string }
			if err := json.Unmarshal([]byte(stderr), &line); err != nil {
				t.Fatalf("%q: %v", stderr, err)
			}
			if !strings.Contains(line.Error, c.error) || !strings.Contains(line.Hint, c.hint) {
				t.Errorf("got %+v", line)
			}
		})
	}
}

func TestCommandHelpHasAnExample(t *testing.T) {
	stdout, stderr, code := execute("--help")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "edgegate demo --deno supabase/functions") {
		t.Errorf("%d %q %s", code, stderr, stdout)
	}
}
