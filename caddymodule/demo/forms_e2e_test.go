//go:build e2e && unix

package demo

import (
	"path/filepath"
	"strings"
	"testing"
)

// The two forms of a function, and what is said of a module that has neither.
func TestRealDenoServesBothForms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "functions")
	for name, text := range map[string]string{
		"deno.json":       `{"imports":{"with/":"./_shared/"}}`,
		"_shared/with.ts": `export const withGreeting = (f: (req: Request, to: string) => Response) => (req: Request) => f(req, req.url.split("?")[1]);`,

		"called/index.ts":   `Deno.serve(() => new Response("called"));`,
		"exported/index.ts": `export default { fetch: () => new Response("exported") };`,
		// as with withSupabase of @supabase/server: fetch is what a function of an import returns
		"wrapped/index.ts": `import { withGreeting } from "with/with.ts";
export default { fetch: withGreeting((_req, to) => new Response("hello " + to)) };`,
		"waits/index.ts": `await new Promise((done) => setTimeout(done, 100));
export default { fetch: () => new Response("main " + import.meta.main) };`,
		"app/index.js": `class App { #name = "app"; fetch(req, info) { return new Response(this.#name + " " + info.remoteAddr.hostname); } }
export default new App();`,
		"both/index.ts": `Deno.serve(() => new Response("called")); export default { fetch: () => new Response("exported") };`,
		"node/index.ts": `import { createServer } from "node:http";
createServer((_req, res) => res.end("called")).listen(8000);
export default { fetch: () => new Response("exported") };`,
		"later/index.ts": `export default { fetch() {
  EdgeRuntime.waitUntil(new Promise((done) => setTimeout(done, 300)).then(() => console.log("done later")));
  return new Response("now");
} };`,
		"throws/index.ts": `export default {
  fetch() { throw new Error("of the function"); } };`,
		"neither/index.ts": `console.log("loaded"); export default () => new Response("no fetch");`,
		"failing/index.ts": `export default { fetch: () => new Response("never") };
throw new Error("at the top");`,
	} {
		writeFile(t, dir, name, text)
	}
	d, r, client, out := serveDeno(t, dir)
	const bootError = `{"code":"BOOT_ERROR","message":"Function failed to start (please check logs)"}`
	for _, c := range []struct {
		slug   string
		status int
		body   string
	}{
		{"called", 200, "called"},
		{"exported", 200, "exported"},
		{"wrapped", 200, "hello Ada"},
		{"waits", 200, "main true"},
		{"app", 200, "app 127.0.0.1"},
		{"both", 200, "called"},
		{"node", 200, "called"},
		{"later", 200, "now"},
		{"throws", 500, "Internal Server Error"},
		{"neither", 503, bootError},
		{"failing", 503, bootError},
	} {
		res, body := get(t, client, "http://"+r.addr+"/"+c.slug+"?Ada")
		if body = strings.TrimSpace(body); res.StatusCode != c.status || body != c.body {
			t.Errorf("%s: %d %s, not %d %s\n%s", c.slug, res.StatusCode, body, c.status, c.body, out)
		}
	}
	writeFile(t, dir, "exported/index.ts", `export default { fetch: () => new Response("edited") };`)
	settle(d)
	if res, body := get(t, client, "http://"+r.addr+"/exported"); res.StatusCode != 200 || body != "edited" {
		t.Errorf("after an edit: %d %s\n%s", res.StatusCode, body, out)
	}
	r.stop()
	d.stop()
	said := out.String()
	const remedy = " has to load without an error and to call Deno.serve(handler) or export default { fetch: handler }\n"
	for _, want := range []string{
		"[us-east-1/neither] ended (exit status 0) before it listened: " + filepath.Join(dir, "neither", "index.ts") + remedy,
		"[us-east-1/failing] ended (exit status 1) before it listened: " + filepath.Join(dir, "failing", "index.ts") + remedy,
		"[us-east-1/failing] throw new Error(\"at the top\");\n",
		"functions/throws/index.ts:2:19)\n",
		"[us-east-1/later] done later\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if n := strings.Count(said, "before it listened"); n != 2 {
		t.Errorf("%d functions are said to have ended, not 2\n%s", n, said)
	}
	if strings.Contains(said, "deno serve") {
		t.Errorf("Deno's own warning, which does not hold here, is shown\n%s", said)
	}
}
