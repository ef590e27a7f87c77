//go:build e2e && unix

package demo

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestBinary builds the command a user runs and runs it as one.
func TestBinary(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "edgegate")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/edgegate")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	t.Run("printed lines", func(t *testing.T) { testPrintedLines(t, binary) })
	t.Run("deno", func(t *testing.T) { testDenoBehindTheGateway(t, binary) })
}

// running is a demo in a process of its own.
type running struct {
	cmd    *exec.Cmd
	curls  []string // the printed lines
	output *syncBuffer
	rest   chan struct{} // closed when standard output has ended
	once   sync.Once
}

func runBinary(t *testing.T, binary string, args ...string) *running {
	t.Helper()
	r := &running{output: &syncBuffer{}, rest: make(chan struct{})}
	r.cmd = exec.Command(binary, append([]string{"demo", "--listen", "127.0.0.1:0"}, args...)...)
	r.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	r.cmd.Stderr = r.output
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(syscall.SIGKILL) })
	lines := bufio.NewReader(io.TeeReader(stdout, r.output))
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the announcement ended early: %v\n%s", err, r.output)
		}
		if strings.HasPrefix(line, "curl ") {
			r.curls = append(r.curls, strings.TrimSpace(line))
		}
		if strings.Contains(line, "go run ./cmd/edgegate") {
			break
		}
	}
	go func() {
		defer close(r.rest)
		_, _ = io.Copy(io.Discard, lines)
	}()
	return r
}

// end signals the demo and returns its exit code.
func (r *running) end(signal syscall.Signal) int {
	r.once.Do(func() {
		_ = r.cmd.Process.Signal(signal)
		<-r.rest
		_ = r.cmd.Wait()
	})
	return r.cmd.ProcessState.ExitCode()
}

// paste runs a line as it was printed.
func paste(line string) string {
	out, _ := exec.Command("sh", "-c", line).CombinedOutput()
	return strings.ToLower(string(out))
}

func testPrintedLines(t *testing.T, binary string) {
	r := runBinary(t, binary)
	if len(r.curls) != 6 {
		t.Fatalf("%d curl lines:\n%s", len(r.curls), r.output)
	}
	for i, c := range []struct {
		name  string
		wants []string
	}{
		{"nearest (contract 2.6, 2.7)", []string{
			"http/1.1 200", "x-sb-edge-region: eu-central-1\r", "x-sb-region-reason: nearest\r", "x-served-by: demo-runtime\r", "hello ada!",
		}},
		{"named (contract 2.1, 3.9)", []string{"http/1.1 200", "x-sb-edge-region: us-east-1\r", "x-sb-region-reason: explicit\r"}},
		{"no key (contract 3.2)", []string{"http/1.1 401", "sb-error-code: unauthorized_no_auth_header\r", "missing authorization header"}},
		{"page (contract 6.3)", []string{"http/1.1 200", "content-type: text/plain\r", "x-content-type-options: nosniff\r", "<h1>hello from"}},
		{"stream (contract 6.5)", []string{"http/1.1 200", "text/event-stream", "x-sb-edge-region: ap-southeast-1\r", "id: 3\n"}},
		{"outage", []string{"refuses connections for 30s"}},
		{"failover (contract 2.6)", []string{"http/1.1 200", "x-sb-edge-region: us-east-1\r", "x-sb-region-reason: failover\r"}},
		{"named region down (contract 2.5)", []string{"http/1.1 503", "sb-error-code: region_unavailable\r", "x-sb-edge-region: eu-central-1\r"}},
	} {
		line := r.curls[min(i, 5)]
		switch i {
		case 6:
			line = r.curls[0]
		case 7:
			line = r.curls[0] + " -H 'x-region: eu-central-1'"
		}
		out := paste(line)
		for _, want := range c.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in the answer to %s:\n%s", c.name, want, line, out)
			}
		}
	}
	crash := paste(strings.Replace(r.curls[1], "/v1/hello", "/v1/crash", 1))
	if !strings.Contains(crash, "http/1.1 502") || !strings.Contains(crash, "backend_error") {
		t.Errorf("crash (contract 5.15):\n%s", crash)
	}
	_, address, _ := strings.Cut(r.curls[2], "http://")
	address, _, _ = strings.Cut(address, "/")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+address+"/functions/v1/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"X-Region": {"ap-southeast-1"}},
	})
	if err != nil {
		t.Fatalf("ws (contract 6.6): %v\n%s", err, r.output)
	}
	defer conn.CloseNow()
	if _, greeting, err := conn.Read(ctx); err != nil || string(greeting) != `{"region":"ap-southeast-1"}` {
		t.Errorf("ws greeting %s, %v", greeting, err)
	}
	if code := r.end(syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d after ctrl-C\n%s", code, r.output)
	}
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("ws at the end (contract 6.6): %v", err)
	}
}

func testDenoBehindTheGateway(t *testing.T, binary string) {
	dir := realFolder(t)
	r := runBinary(t, binary, "--deno", dir)
	if out := paste(r.curls[0]); !strings.Contains(out, "http/1.1 200") || !strings.Contains(out, `"hello ada!"`) {
		t.Errorf("%s:\n%s", r.curls[0], out)
	}
	broken := paste(strings.Replace(r.curls[0], "/v1/hello", "/v1/broken", 1))
	if !strings.Contains(broken, "http/1.1 503") || !strings.Contains(broken, "sb-error-code: boot_error\r") {
		t.Errorf("broken (contract 5.28):\n%s", broken)
	}
	open := paste(strings.Replace(r.curls[2], "/v1/hello", "/v1/socket", 1))
	if !strings.Contains(open, "http/1.1 426") {
		t.Errorf("verify_jwt of config.toml (contract 3.1):\n%s", open)
	}
	writeFile(t, dir, "fresh/index.ts", `Deno.serve(() => new Response("without a restart"));`)
	fresh := strings.Replace(r.curls[0], "/v1/hello", "/v1/fresh", 1)
	eventually(t, "a new function can be called", func() bool { return strings.Contains(paste(fresh), "without a restart") })
	writeFile(t, dir, "fresh/index.ts", `Deno.serve(() => new Response("edited"));`)
	eventually(t, "its edition is called", func() bool { return strings.Contains(paste(fresh), "edited") })
	writeFile(t, filepath.Dir(dir), "config.toml", "[functions.fresh]\nverify_jwt = false\n")
	public := strings.Replace(r.curls[2], "/v1/hello", "/v1/fresh", 1)
	eventually(t, "config.toml opens it", func() bool { return strings.Contains(paste(public), "edited") })
	if code := r.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	for _, want := range []string{"starting the gateway ...\n", "starting 3 regions ...\n", "functions now: broken fresh hello legacy socket* stream\n"} {
		if !strings.Contains(r.output.String(), want) {
			t.Errorf("no %q in:\n%s", want, r.output)
		}
	}
	if !strings.Contains(r.output.String(), "[eu-central-1/hello] booted\n") {
		t.Errorf("no line of the function in:\n%s", r.output)
	}
}
