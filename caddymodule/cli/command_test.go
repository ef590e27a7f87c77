package cli

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestFailuresAreOneJSONLine(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()

	for _, tc := range []struct {
		name    string
		status  int
		body    string
		address string // instead of that of a gateway that answers so
		command string
		message string
		hint    string
	}{
		{
			name: "no gateway", address: closed, command: "status",
			message: "no gateway answers at " + closed + ": dial tcp " + closed + ": connect: connection refused", hint: "edgegate run --config",
		},
		{
			name: "no socket", address: "unix//nowhere/admin.sock", command: "regions",
			message: "no gateway answers at unix//nowhere/admin.sock: dial unix /nowhere/admin.sock", hint: "--address",
		},
		{
			name: "a gateway without edge_functions", status: 404, body: `{"error":"edge_functions is not configured"}`, command: "status",
			message: "edge_functions is not configured", hint: "global option edge_functions",
		},
		{
			name: "an unknown region", status: 400, body: `{"error":"Invalid region \"mars\". Valid regions: lab"}`, command: "explain",
			message: `Invalid region "mars". Valid regions: lab`, hint: "edgegate regions",
		},
		{
			name: "an address the gateway does not know as its own", status: 403, body: `{"error":"host not allowed: a"}`, command: "status",
			message: "host not allowed: a", hint: "origins",
		},
		{
			name: "an error inside", status: 500, body: `{"error":"it broke: <here>"}`, command: "status",
			message: "it broke: <here>", hint: "edgegate status",
		},
		{
			name: "a question that cannot be answered", status: 400, body: `{"error":"quotas.db: damaged"}`, command: "quota show",
			message: "quotas.db: damaged", hint: "edgegate status",
		},
		{
			name: "a Caddy without the gateway", status: 404, body: "404 page not found\n", command: "status",
			message: "is not the admin API of edgegate (HTTP 404)", hint: "not the address of a site",
		},
		{
			name: "a site of the gateway", status: 404, body: `{"code":"NOT_FOUND","message":"Requested function was not found"}`, command: "regions",
			message: "is not the admin API of edgegate (HTTP 404)", hint: "not the address of a site",
		},
		{
			name: "a page", status: 200, body: "<html>hello</html>", command: "status",
			message: "is not the admin API of edgegate", hint: "not the address of a site",
		},
		{
			name: "an empty answer, which Caddy gives for unknown sites", status: 200, body: "", command: "regions",
			message: "is not the admin API of edgegate", hint: "not the address of a site",
		},
		{
			name: "the JSON of something else", status: 200, body: `{}`, command: "explain",
			message: "is not the admin API of edgegate", hint: "not the address of a site",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.address == "" {
				tc.address = serve(t, tc.status, tc.body).address()
			}
			for _, output := range []string{"table", "json"} {
				stdout, stderr, code := execute(t, append(strings.Fields(tc.command), "-o", output, "--address", tc.address)...)
				if code != 1 || stdout != "" {
					t.Errorf("exit code %d, standard output %q", code, stdout)
				}
				message, hint := said(t, stderr)
				if !strings.Contains(message, tc.message) || !strings.Contains(hint, tc.hint) {
					t.Errorf("got error %q, hint %q", message, hint)
				}
			}
		})
	}
}

// Wrong usage is exit code 2 with the same line, and nothing was asked.
func TestWrongUsage(t *testing.T) {
	g := serve(t, 200, statusJSON)
	for _, tc := range []struct {
		name    string
		args    []string
		message string
		hint    string
	}{
		{"unknown flag", []string{"--country", "DE"}, "unknown flag: --country", "--help lists the flags"},
		{"misspelt flag", []string{"--adress", "x"}, "unknown flag: --adress", "did you mean --address?"},
		{"unknown shorthand", []string{"-x"}, "unknown shorthand flag", "--help lists the flags"},
		{"flag without a value", []string{"--output"}, "flag needs an argument: --output", "--help lists the flags"},
		{"argument", []string{"now"}, `takes no argument, got "now"`, "--help lists the flags"},
		{"misspelt output", []string{"-o", "jsn"}, `--output "jsn": allowed are table and json`, "did you mean --output json?"},
		{"other output", []string{"-o", "yaml"}, `--output "yaml": allowed are table and json`, "--help lists the flags"},
		{"empty output", []string{"-o", ""}, `--output ""`, "--help lists the flags"},
		{"no port", []string{"--address", "localhost"}, `--address "localhost": one port is needed`, "localhost:2019"},
		{"empty address", []string{"--address", ""}, `--address ""`, "localhost:2019"},
		{"bad port", []string{"--address", "localhost:http"}, `--address "localhost:http"`, "localhost:2019"},
		{"ports", []string{"--address", "localhost:1-9"}, "one port is needed", "localhost:2019"},
		{"https", []string{"--address", "https://localhost:2019"}, "plain HTTP", "localhost:2019"},
		{"unix URL", []string{"--address", "unix:///run/x.sock"}, "not an address", "unix//run/"},
		{"a URL with a path", []string{"--address", "http://" + g.address() + "/config"}, "not an address", "localhost:2019"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, command := range []string{"status", "regions", "explain"} {
				args := append([]string{command}, tc.args...)
				if !strings.Contains(strings.Join(args, " "), "--address") {
					args = append(args, "--address="+g.address())
				}
				if tc.name == "flag without a value" {
					args = []string{command, "--output"}
				}
				stdout, stderr, code := execute(t, args...)
				if code != 2 || stdout != "" {
					t.Errorf("%s: exit code %d, standard output %q", command, code, stdout)
				}
				message, hint := said(t, stderr)
				if !strings.Contains(message, tc.message) || !strings.Contains(hint, tc.hint) {
					t.Errorf("%s: got error %q, hint %q", command, message, hint)
				}
			}
		})
	}
	if asked := g.questions(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// A value that no gateway would understand is wrong usage, and nothing was asked.
func TestWrongFlagValues(t *testing.T) {
	g := serve(t, 200, statusJSON)
	for _, tc := range []struct{ args, message, hint string }{
		{"explain --load foo", `--load: "foo": must be a region and its load`, "--load sa-east-1=0.95"},
		{"explain --load eu-west-1=full", `--load: "eu-west-1=full"`, "--load sa-east-1=0.95"},
		{"explain --load eu-west-1=-1", `--load: "eu-west-1=-1"`, "--load sa-east-1=0.95"},
		{"explain --load =1", `--load: "=1"`, "--load sa-east-1=0.95"},
		{"explain --from germany", `--from "germany"`, "--from KE"},
		{"explain --from de", `--from "de"`, "did you mean --from DE?"},
		{"explain --from D1", `--from "D1"`, "--from KE"},
		{"explain --function hello", "--function: not in this build", "docs/roadmap.md"},
		{"drain eu-west-2 --over banana", `--over "banana": must be a duration`, "--over 30m"},
		{"drain eu-west-2 --over 25h", `--over "25h": at most 24h`, "--over 30m"},
		{"drain eu-west-2 --over=-1m", `--over "-1m": must not be negative`, "--over 30m"},
	} {
		stdout, stderr, code := execute(t, append(strings.Fields(tc.args), "--address", g.address())...)
		message, hint := said(t, stderr)
		if code != 2 || stdout != "" || !strings.Contains(message, tc.message) || !strings.Contains(hint, tc.hint) {
			t.Errorf("%s: exit code %d, error %q, hint %q", tc.args, code, message, hint)
		}
	}
	if asked := g.questions(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// What the gateway does not have is exit code 1, with the hint of the flag that named it.
func TestHintsOfExplain(t *testing.T) {
	for _, tc := range []struct{ args, body, hint string }{
		{"--project nope", `{"error":"project \"nope\" is not there"}`, "edgegate projects list"},
		{"--at X", `{"error":"at \"X\": no such gateway is heard; heard are a"}`, "edgegate status"},
		{"--at X", `{"error":"at: no other gateway is heard; they need a store"}`, "edgegate status"},
		{"--down mars", `{"error":"region \"mars\" is not configured; configured are lab"}`, "edgegate regions"},
	} {
		g := serve(t, 400, tc.body)
		_, stderr, code := execute(t, append(strings.Fields("explain "+tc.args), "--address", g.address())...)
		if _, hint := said(t, stderr); code != 1 || !strings.Contains(hint, tc.hint) {
			t.Errorf("%s: exit code %d, hint %q", tc.args, code, hint)
		}
	}
}

// A real process: that Caddy's Main knows the error that stands for 2 is nothing that its API promises.
func TestExitCodesOfTheProcess(t *testing.T) {
	g := serve(t, 200, statusJSON)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		code int
	}{
		{"fine", []string{"status", "--address", g.address()}, 0},
		{"failed", []string{"status", "--address", "unix//nowhere/admin.sock"}, 1},
		{"wrong flag", []string{"regions", "--nope"}, 2},
		{"wrong value", []string{"explain", "-o", "xml"}, 2},
		{"help", []string{"explain", "--help"}, 0},
		{"help of a command with commands", []string{"projects", "--help"}, 0},
		{"no sub-command", []string{"token"}, 2},
		{"unknown sub-command", []string{"projects", "lst"}, 2},
		{"no argument", []string{"token", "inspect"}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), self, tc.args...)
			cmd.Env = append(os.Environ(), asBinary+"=1")
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			var exited *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exited) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != tc.code {
				t.Errorf("exit code %d, want %d; standard error %s", got, tc.code, &stderr)
			}
			if tc.code == 0 {
				if stderr.Len() > 0 || stdout.Len() == 0 {
					t.Errorf("standard output %q, standard error %q", &stdout, &stderr)
				}
				return
			}
			said(t, stderr.String())
		})
	}
}

func TestHelpHasAnExample(t *testing.T) {
	asking := []string{"-o, --output", "--address", `(default "` + usualPlaces + `")`}
	for command, wanted := range map[string][]string{
		"status": asking, "regions": asking, "explain": asking, "audit": asking, "projects list": asking, "token inspect": asking,
		"projects check":  {"-o, --output", "--apex", "--regions", "check FILE [--config"},
		"projects import": {"-o, --output", "--supabase", "--out"},
		"projects":        {"check ", "import ", "list "},
		"token":           {"inspect "},
	} {
		stdout, stderr, code := execute(t, append(strings.Fields(command), "--help")...)
		if code != 0 || stderr != "" {
			t.Errorf("%s: exit code %d, standard error %q", command, code, stderr)
		}
		for _, want := range append(wanted, "Examples:\n  edgegate "+command) {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: %q is not in\n%s", command, want, stdout)
			}
		}
	}
}

func TestAddressForms(t *testing.T) {
	g := serve(t, 200, statusJSON)
	_, port, _ := net.SplitHostPort(g.address())
	for _, address := range []string{g.address(), "http://" + g.address(), "http://" + g.address() + "/", "tcp/" + g.address(), ":" + port} {
		if _, stderr, code := execute(t, "status", "--address", address); code != 0 {
			t.Errorf("--address %s: exit code %d, %s", address, code, stderr)
		}
	}
	for typed, want := range map[string]string{
		":2019":             "localhost:2019",
		"[::1]:2019":        "[::1]:2019",
		"http://[::1]:2019": "[::1]:2019",
		"unix//run/a.sock":  "unix//run/a.sock",
	} {
		if got, err := adminAddress(typed); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", typed, got, err, want)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(regionsJSON))
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	// Caddy's own notation of the permissions is part of what `admin` says, so people paste it.
	for _, address := range []string{"unix/" + path, "unix/" + path + "|0220"} {
		stdout, stderr, code := execute(t, "regions", "--address", address)
		if code != 0 || stdout != regionsText {
			t.Errorf("%s: exit code %d, %s%s", address, code, stdout, stderr)
		}
	}
}

func TestStuckGateway(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	stuck := admin{address: server.Listener.Addr().String(), timeout: time.Millisecond}
	_, err := stuck.ask(t.Context(), question{uri: "/edge_functions/status"})
	var failure *FailureError
	if !errors.As(err, &failure) || !strings.Contains(failure.Msg, "no answer from") || failure.Hint == "" {
		t.Errorf("got %v", err)
	}
}

func TestClosedOutput(t *testing.T) {
	g := serve(t, 200, statusJSON)
	stderr, code := executeTo(t, closedPipe{}, "status", "--address", g.address())
	if message, _ := said(t, stderr); code != 1 || message != "writing the answer: broken pipe" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestRunHandsOverContextAndErrors(t *testing.T) {
	type key struct{}
	for _, tc := range []struct {
		name string
		err  error
		code int
		hint string
	}{
		{"nothing wrong", nil, 0, ""},
		{"an error of no kind", errors.New("reading x"), 1, "this is a fault of edgegate itself: please report it"},
		{"a failure without a hint", &FailureError{Msg: "reading x"}, 1, "please report it"},
		{"a wrapped failure", errors.Join(&FailureError{Msg: "reading x", Hint: "look there"}), 1, "look there"},
		{"wrong usage without a hint", &UsageError{Msg: "reading x"}, 2, "edgegate work --help lists the flags"},
		{"wrong usage with a hint", &UsageError{Msg: "reading x", Hint: "do y"}, 2, "do y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, cmd := &cobra.Command{Use: "edgegate"}, &cobra.Command{Use: "work"}
			Run(cmd, func(ctx context.Context) error {
				if ctx.Value(key{}) != "here" {
					t.Error("got another context")
				}
				return tc.err
			})
			root.AddCommand(cmd)
			root.SetArgs([]string{"work"})
			var errs bytes.Buffer
			root.SetErr(&errs)
			err := root.ExecuteContext(context.WithValue(t.Context(), key{}, "here"))
			if code := codeOf(err); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if tc.err == nil {
				if errs.Len() > 0 {
					t.Errorf("standard error %q", &errs)
				}
				return
			}
			if message, hint := said(t, errs.String()); message != "reading x" || !strings.Contains(hint, tc.hint) {
				t.Errorf("got %s", &errs)
			}
		})
	}
}

func TestOneOf(t *testing.T) {
	for _, tc := range []struct {
		value   string
		allowed []string
		want    string
	}{
		{"a", []string{"a"}, ""},
		{"x", []string{"alpha"}, `--f "x": allowed are alpha`},
		{"x", []string{"alpha", "beta", "gamma"}, `--f "x": allowed are alpha, beta and gamma`},
	} {
		got := ""
		if err := OneOf("f", tc.value, tc.allowed...); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
