package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// asBinary makes the test binary behave as edgegate: real exit codes are only to be had from a real process.
const asBinary = "EDGEGATE_CLI_TEST_AS_BINARY"

func TestMain(m *testing.M) {
	if os.Getenv(asBinary) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// today is the clock of the tests; the answers below are told in relation to it.
var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// execute runs `edgegate args...` with the commands of this package and returns its outputs and the exit code that
// Caddy's Main would use.
func execute(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out bytes.Buffer
	stderr, code = executeTo(t, &out, args...)
	return out.String(), stderr, code
}

func executeTo(t *testing.T, out io.Writer, args ...string) (stderr string, code int) {
	t.Helper()
	return executeFrom(t, strings.NewReader(""), out, args...)
}

// executeFrom runs it with in as standard input.
func executeFrom(t *testing.T, in io.Reader, out io.Writer, args ...string) (stderr string, code int) {
	t.Helper()
	root := &cobra.Command{Use: "edgegate", SilenceUsage: true}
	for _, c := range commands(func() time.Time { return today }) {
		cmd := &cobra.Command{Use: c.Name + " " + c.Usage, Short: c.Short, Long: c.Long}
		c.CobraFunc(cmd)
		root.AddCommand(cmd)
	}
	var errs bytes.Buffer
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(&errs)
	root.SetArgs(args)
	code = codeOf(root.Execute())
	return errs.String(), code
}

// said reads the one line that a failed command prints.
func said(t *testing.T, stderr string) (message, hint string) {
	t.Helper()
	if strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
		t.Fatalf("standard error is not one line: %q", stderr)
	}
	var line map[string]string
	if err := json.Unmarshal([]byte(stderr), &line); err != nil {
		t.Fatalf("standard error %q: %v", stderr, err)
	}
	if len(line) != 2 || line["error"] == "" || line["hint"] == "" {
		t.Fatalf("standard error %q: want error and hint", stderr)
	}
	return line["error"], line["hint"]
}

// fakeGateway is an admin API that answers everything with status and body, and notes what it was asked.
type fakeGateway struct {
	*httptest.Server
	mu    sync.Mutex // guards asked and sent
	asked []string
	sent  []string // the bodies
}

func serve(t *testing.T, status int, body string) *fakeGateway {
	t.Helper()
	g := new(fakeGateway)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.asked = append(g.asked, r.Method+" "+r.RequestURI)
		g.sent = append(g.sent, string(sent))
		g.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *fakeGateway) questions() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// bodies are what was posted, "" for a GET.
func (g *fakeGateway) bodies() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent
}

func (g *fakeGateway) address() string { return g.Listener.Addr().String() }

// closedPipe is a standard output that nobody reads.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
