//go:build e2e && unix

package demo

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What Supabase's runtime has and Deno has not, and the ways in which config.toml and deno.json say what is run.
func TestRealDenoAsEdgeRuntime(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "functions")
	for name, text := range map[string]string{
		"config.toml": `[functions.far]
entrypoint = "apps/far/main.ts"
[functions.mapped]
import_map = "maps/own.json"
[functions.configured]
import_map = "functions/configured/deno.json"
`,
		"apps/far/main.ts":               `import { what } from "what"; Deno.serve(() => new Response("far " + what));`,
		"functions/deno.json":            `{"imports":{"what":"./_shared/all.ts"}}`,
		"functions/_shared/all.ts":       `export const what = "of all";`,
		"functions/_shared/one.ts":       `export const what = "of one";`,
		"functions/_shared/mapped.ts":    `export const what = "of the map";`,
		"maps/own.json":                  `{"imports":{"what":"../functions/_shared/mapped.ts"}}`,
		"functions/mapped/index.ts":      `import { what } from "what"; Deno.serve(() => new Response(what));`,
		"functions/all/index.ts":         `import { what } from "what"; Deno.serve(() => new Response(what));`,
		"functions/one/index.ts":         `import { what } from "what"; Deno.serve(() => new Response(what));`,
		"functions/one/deno.json":        `{"imports":{"what":"../_shared/one.ts"},"compilerOptions":{}}`,
		"functions/configured/index.ts":  `import { what } from "what"; Deno.serve(() => new Response(what));`,
		"functions/configured/deno.json": `{"imports":{"what":"../_shared/one.ts"}}`,
		"functions/env/index.ts":         `Deno.serve(() => Response.json(["SUPABASE_DB_URL", "SUPABASE_PUBLISHABLE_KEYS", "SUPABASE_SECRET_KEYS"].map((n) => Deno.env.get(n))));`,
		"functions/later/index.ts": `addEventListener("beforeunload", (e) => console.log("unloaded for", e.detail.reason));
Deno.serve(() => {
  const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));
  EdgeRuntime.waitUntil(Promise.reject(new Error("nobody cares")));
  const promise = wait(700).then(() => console.log("done later"));
  return new Response(String(EdgeRuntime.waitUntil(promise) === promise));
});`,
	} {
		writeFile(t, root, name, text)
	}
	d, r, client, out := serveDeno(t, dir)
	for slug, want := range map[string]string{
		"far": "far of all", "mapped": "of the map", "all": "of all", "one": "of one", "configured": "of one", "later": "true",
		"env": `["` + localDatabase + `","{\"default\":\"the-publishable\"}","{\"default\":\"the-secret\"}"]`,
	} {
		if res, body := get(t, client, "http://"+r.addr+"/"+slug); res.StatusCode != 200 || body != want {
			t.Errorf("%s: %d %s, not %s\n%s", slug, res.StatusCode, body, want, out)
		}
	}
	if res, body := get(t, client, "http://"+r.addr+"/later"); res.StatusCode != 200 {
		t.Errorf("after a rejected promise: %d %s", res.StatusCode, body)
	}
	writeFile(t, dir, "_shared/all.ts", `export const what = "edited";`)
	settle(d)
	if res, body := get(t, client, "http://"+r.addr+"/all"); body != "edited" {
		t.Errorf("after an edit: %d %s", res.StatusCode, body)
	}
	if res, body := get(t, client, "http://"+r.addr+"/later"); res.StatusCode != 200 || body != "true" {
		t.Errorf("before the end: %d %s", res.StatusCode, body)
	}
	r.stop()
	d.stop()
	said := out.String()
	// the promises of the code before the edit, and those of the last call, were waited for
	if n := strings.Count(said, "done later"); n != 3 {
		t.Errorf("%d of 3 promises were waited for\n%s", n, said)
	}
	for _, want := range []string{
		`\[us-east-1/later\] EdgeRuntime.waitUntil: the promise was rejected: Error: nobody cares`,
		`\[us-east-1/later\] unloaded for termination`,
		`warning: .*/functions/one/deno.json: compilerOptions: it has no effect, since .*/functions/deno.json lies above`,
		`\[us-east-1/far\] starting\n`,
		`\[us-east-1/far\] ready after \d+ ms\n`,
		`/_shared/all.ts changed: functions run their new code from the next call on`,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("no %s in\n%s", want, said)
		}
	}
}

// A folder that was given by a link, and files that are not there any more.
func TestRealDenoFunctionRemovedAndBack(t *testing.T) {
	dir := realFolder(t)
	d, r, client, out := serveDeno(t, dir)
	entry := filepath.Join(dir, "stream", "index.ts")
	text, err := os.ReadFile(entry)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(entry); err != nil {
		t.Fatal(err)
	}
	settle(d)
	if res, _ := get(t, client, "http://"+r.addr+"/stream"); res.StatusCode != 404 {
		t.Errorf("removed: %d\n%s", res.StatusCode, out)
	}
	writeFile(t, dir, "stream/index.ts", strings.Replace(string(text), "Deno.serve(() => {", `Deno.serve((req) => { if (req.url.endsWith("?short")) return new Response("back");`, 1))
	settle(d)
	if res, body := get(t, client, "http://"+r.addr+"/stream?short"); body != "back" {
		t.Errorf("back: %d %s\n%s", res.StatusCode, body, out)
	}
}
