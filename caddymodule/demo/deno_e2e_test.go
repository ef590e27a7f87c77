//go:build e2e && unix

package demo

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// realFolder is a folder as Supabase's own commands would lay it out.
func realFolder(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("deno"); err != nil {
		t.Fatalf("these tests need deno: %v", err)
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"config.toml":                   "[functions.socket]\nverify_jwt = false\n",
		"functions/.env":                "GREETING=\"Hello\"\n",
		"functions/deno.json":           `{"imports":{"shared/":"./_shared/"}}`,
		"functions/_shared/greeting.ts": `export const greet = (name: string) => Deno.env.get("GREETING") + " " + name + "!";`,
		"functions/hello/index.ts": `import { greet } from "shared/greeting.ts";
console.log("booted");
Deno.serve(async (req: Request) => {
  const { name } = await req.json();
  return Response.json({ message: greet(name), region: Deno.env.get("SB_REGION"), url: req.url, pid: Deno.pid,
    execution: Deno.env.get("SB_EXECUTION_ID"), project: Deno.env.get("SUPABASE_URL") });
});`,
		"functions/socket/index.js": `Deno.serve((req) => {
  if (req.headers.get("upgrade") !== "websocket") return new Response("no", { status: 426 });
  const { socket, response } = Deno.upgradeWebSocket(req);
  socket.onmessage = (e) => socket.send("echo " + e.data);
  return response;
});`,
		"functions/stream/index.ts": `Deno.serve(() => {
  let n = 0, timer: number;
  const body = new ReadableStream({
    start(c) { timer = setInterval(() => c.enqueue(new TextEncoder().encode("data: " + n++ + "\n\n")), 50); },
    cancel() { clearInterval(timer); },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
});`,
		"functions/broken/index.ts": `this is not TypeScript`,
		"functions/legacy/index.ts": `import { answer } from "answers"; Deno.serve(() => new Response(String(answer)));`,
	} {
		writeFile(t, root, name, text)
	}
	return filepath.Join(root, "functions")
}

func TestRealDeno(t *testing.T) {
	d, r, client, out := serveDeno(t, realFolder(t))
	base := "http://" + r.addr

	res, err := client.Post(base+"/hello/rest?q=1", "application/json", strings.NewReader(`{"name":"Ada"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var hello struct {
		Message, Region, URL, Execution, Project string
		PID                                      int
	}
	if err := json.NewDecoder(res.Body).Decode(&hello); err != nil {
		t.Fatalf("%d: %v\n%s", res.StatusCode, err, out)
	}
	if hello.Message != "Hello Ada!" || hello.Region != "us-east-1" || hello.Project != "http://localhost:8000" || hello.Execution == "" {
		t.Errorf("got %+v", hello)
	}
	if !strings.HasSuffix(hello.URL, "/hello/rest?q=1") {
		t.Errorf("the function saw %s", hello.URL)
	}
	if !strings.Contains(out.String(), "[us-east-1/hello] booted\n") {
		t.Errorf("no log line in %q", out)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/socket", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	defer conn.CloseNow()
	_ = conn.Write(ctx, websocket.MessageText, []byte("hi"))
	if _, message, err := conn.Read(ctx); err != nil || string(message) != "echo hi" {
		t.Errorf("got %s, %v", message, err)
	}
	if _, refusal, err := websocket.Dial(ctx, "ws://"+r.addr+"/broken", &websocket.DialOptions{HTTPClient: client}); err == nil ||
		refusal == nil || refusal.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a function that does not compile: %v, %v", refusal, err)
	}

	stream, err := client.Get(base + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len("data: 0\n\n"))
	if _, err := stream.Body.Read(first); err != nil || string(first) != "data: 0\n\n" {
		t.Errorf("stream began with %q, %v", first, err)
	}
	_ = stream.Body.Close()

	r.stop()
	d.stop()
	if alive(hello.PID) {
		t.Error("deno outlived the demo")
	}
}

func TestRealDenoLegacyImportMap(t *testing.T) {
	dir := realFolder(t)
	for name, text := range map[string]string{
		"import_map.json": `{"imports":{"answers":"./_shared/answers.ts"}}`, "_shared/answers.ts": `export const answer = 42;`,
	} {
		writeFile(t, dir, name, text)
	}
	if err := os.Remove(filepath.Join(dir, "deno.json")); err != nil {
		t.Fatal(err)
	}
	_, r, client, out := serveDeno(t, dir)
	if res, body := get(t, client, "http://"+r.addr+"/legacy"); res.StatusCode != 200 || body != "42" {
		t.Errorf("%d %s\n%s", res.StatusCode, body, out)
	}
}
