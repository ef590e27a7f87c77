//go:build unix

package demo

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// syncBuffer is an output that tests may read while functions write.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// fakeFolder has one function of each temper of the stand-in.
func fakeFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "functions")
	for slug, temper := range map[string]string{"hello": "serve", "dead": "die", "deaf": "deaf", "stubborn": "stubborn"} {
		writeFile(t, dir, slug+"/index.ts", temper)
	}
	writeFile(t, dir, ".env", "GREETING=hi\nSB_REGION=forged\n")
	return dir
}

// serveDeno starts the runtime over dir and one region in front of it; goroutines and processes must be gone after the test.
func serveDeno(t *testing.T, dir string) (*denoRuntime, *region, *http.Client, *syncBuffer) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	out := &syncBuffer{}
	d, err := newDenoRuntime(denoConfig{
		dir: dir, url: "http://localhost:8000", keys: keys{anon: "the-anon", serviceRole: "the-service", publishable: "the-publishable", secret: "the-secret"},
		state: t.TempDir(), output: out,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &region{name: "us-east-1", handler: d.handler("us-east-1")}
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		r.stop()
		d.stop()
		transport.CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
	return d, r, &http.Client{Transport: transport, Timeout: 60 * time.Second}, out
}

func ask(t *testing.T, client *http.Client, url string) fakeAnswer {
	t.Helper()
	res, body := get(t, client, url)
	var a fakeAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %s: %v", res.StatusCode, body, err)
	}
	return a
}

// alive tells whether a process exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestDenoStartsOneProcessAndPassesTheRequest(t *testing.T) {
	installFakeDeno(t)
	d, r, client, out := serveDeno(t, fakeFolder(t))
	if got := len(d.functions()); got != 4 {
		t.Fatalf("%d functions", got)
	}

	const calls = 8
	pids := make(chan int, calls)
	var all sync.WaitGroup
	for range calls {
		all.Go(func() { pids <- ask(t, client, "http://"+r.addr+"/hello").PID })
	}
	all.Wait()
	pid := <-pids
	for range calls - 1 {
		if other := <-pids; other != pid {
			t.Errorf("two processes: %d, %d", pid, other)
		}
	}

	req, _ := http.NewRequest("POST", "http://"+r.addr+"/hello/a%2Fb/../c?x=1;2&y=%zz", strings.NewReader("body"))
	req.Host = "public.example"
	req.Header.Set("X-Forwarded-Host", "public.example")
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a fakeAnswer
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	if a.URI != "/hello/a%2Fb/../c?x=1;2&y=%zz" || a.Host != "public.example" || a.Body != "body" {
		t.Errorf("got %s on %s with %q", a.URI, a.Host, a.Body)
	}
	if a.Header.Get("X-Forwarded-Host") != "public.example" || a.Header.Get("X-Forwarded-For") != "192.0.2.7" {
		t.Errorf("headers %v", a.Header)
	}
	for name, want := range map[string]string{
		"SUPABASE_URL": "http://localhost:8000", "SUPABASE_ANON_KEY": "the-anon", "SUPABASE_SERVICE_ROLE_KEY": "the-service",
		"SB_REGION": "us-east-1", "DENO_DEPLOYMENT_ID": "default_hello_1", "GREETING": "hi",
		"SUPABASE_DB_URL": localDatabase, "SUPABASE_PUBLISHABLE_KEYS": `{"default":"the-publishable"}`,
		"SUPABASE_SECRET_KEYS": `{"default":"the-secret"}`, "SUPABASE_JWKS": `{"keys":[]}`,
	} {
		if a.Env[name] != want {
			t.Errorf("%s = %q, want %q", name, a.Env[name], want)
		}
	}
	if len(a.Env["SB_EXECUTION_ID"]) != 36 {
		t.Errorf("SB_EXECUTION_ID = %q", a.Env["SB_EXECUTION_ID"])
	}
	if res.Header.Get("x-served-by") != "demo-runtime" {
		t.Errorf("x-served-by %q", res.Header.Get("x-served-by"))
	}

	r.stop()
	d.stop()
	if alive(pid) {
		t.Error("the process outlived the demo")
	}
	for _, want := range []string{
		"[us-east-1/hello] args run --allow-all --no-prompt --preload=" + d.preload + " index.ts in hello\n", "[us-east-1/hello] half a line\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
}

func TestDenoBootErrorAndRestart(t *testing.T) {
	installFakeDeno(t)
	dir := fakeFolder(t)
	d, r, client, out := serveDeno(t, dir)
	d.boot = 500 * time.Millisecond
	const bootError = `{"code":"BOOT_ERROR","message":"Function failed to start (please check logs)"}`
	for _, slug := range []string{"dead", "deaf"} {
		res, body := get(t, client, "http://"+r.addr+"/"+slug)
		if res.StatusCode != 503 || strings.TrimSpace(body) != bootError {
			t.Errorf("%s: %d %s", slug, res.StatusCode, body)
		}
	}
	if !strings.Contains(out.String(), "[us-east-1/dead] half a line\n") {
		t.Errorf("the last words are missing: %q", out.String())
	}
	ended := "[us-east-1/dead] ended (exit status 3) before it listened: " + filepath.Join(dir, "dead", "index.ts") +
		" has to load without an error and to call Deno.serve(handler) or export default { fetch: handler }\n"
	if !strings.Contains(out.String(), ended) {
		t.Errorf("no %q in %q", ended, out.String())
	}
	if strings.Contains(out.String(), "/deaf] ended") {
		t.Errorf("a process that the demo ends is spoken of once: %q", out.String())
	}
	d.boot = 30 * time.Second
	writeFile(t, dir, "dead/index.ts", "serve") // repaired: the next call starts it again
	pid := ask(t, client, "http://"+r.addr+"/dead").PID

	res, body := get(t, client, "http://"+r.addr+"/dead/die")
	if res.StatusCode != 500 || !strings.Contains(body, `"code":"WORKER_ERROR"`) {
		t.Errorf("died in a call: %d %s", res.StatusCode, body)
	}
	d.mu.Lock()
	worker := d.workers[workerKey{"us-east-1", "dead"}]
	d.mu.Unlock()
	worker.mu.Lock()
	gone := worker.current.done
	worker.mu.Unlock()
	<-gone
	if again := ask(t, client, "http://"+r.addr+"/dead").PID; again == pid {
		t.Error("the same process answered after its death")
	}
	if res, _ := get(t, client, "http://"+r.addr+"/nobody"); res.StatusCode != 404 {
		t.Errorf("unknown slug: %d", res.StatusCode)
	}
}

func TestDenoStopKillsTheStubborn(t *testing.T) {
	installFakeDeno(t)
	d, r, client, _ := serveDeno(t, fakeFolder(t))
	d.term = 50 * time.Millisecond
	pid := ask(t, client, "http://"+r.addr+"/stubborn").PID
	r.stop()
	d.stop()
	if alive(pid) {
		t.Error("the process outlived the demo")
	}
}

func TestDenoStopEndsAStartUnderWay(t *testing.T) {
	installFakeDeno(t)
	d, r, client, _ := serveDeno(t, fakeFolder(t))
	answered := make(chan int, 1)
	go func() {
		res, err := client.Get("http://" + r.addr + "/deaf")
		if err != nil {
			answered <- 0
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		answered <- res.StatusCode
	}()
	var p *process
	for p == nil {
		d.mu.Lock()
		for live := range d.live {
			p = live
		}
		d.mu.Unlock()
	}
	d.stop()
	if status := <-answered; status != 503 {
		t.Errorf("the waiting call got %d", status)
	}
	if alive(p.cmd.Process.Pid) {
		t.Error("the process outlived the demo")
	}
	if res, _ := get(t, client, "http://"+r.addr+"/hello"); res.StatusCode != 503 {
		t.Errorf("a call after stop: %d", res.StatusCode)
	}
}

func TestDenoPassesWebSockets(t *testing.T) {
	installFakeDeno(t)
	_, r, client, _ := serveDeno(t, fakeFolder(t))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/hello/upgrade", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if _, greeting, err := conn.Read(ctx); err != nil || string(greeting) != `{"region":"us-east-1"}` {
		t.Fatalf("greeting %s, %v", greeting, err)
	}
	_ = conn.Write(ctx, websocket.MessageText, []byte("ping"))
	if _, message, err := conn.Read(ctx); err != nil || string(message) != "ping" {
		t.Errorf("echo %s, %v", message, err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing handshake: %v", err)
	}
}

func TestPrefixedCutsALineWithoutEnd(t *testing.T) {
	out := &syncBuffer{}
	l := &prefixed{out: &lineOutput{w: out}, prefix: "> "}
	long := strings.Repeat("x", maxLine)
	_, _ = l.Write([]byte(long[1:]))
	if out.String() != "" {
		t.Error("printed before its end")
	}
	_, _ = l.Write([]byte("x"))
	if out.String() != "> "+long+"\n" {
		t.Errorf("not cut: %d bytes", len(out.String()))
	}
	_, _ = l.Write([]byte("a\r\n\nb"))
	l.flush()
	l.flush()
	if got := strings.TrimPrefix(out.String(), "> "+long+"\n"); got != "> a\n> \n> b\n" {
		t.Errorf("got %q", got)
	}
}

func TestPrefixedLeavesOutOneLine(t *testing.T) {
	out := &syncBuffer{}
	l := &prefixed{out: &lineOutput{w: out}, prefix: "> ", skip: []byte("mean it?")}
	_, _ = l.Write([]byte("did you \x1b[1mmean it?\x1b[0m\r\nyou mean it\n"))
	if out.String() != "> you mean it\n" {
		t.Errorf("got %q", out.String())
	}
}
