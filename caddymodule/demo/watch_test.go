//go:build unix

package demo

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each kind of change is in force at the next call, in a new process; what makes no function another one keeps the process.
func TestDenoEdits(t *testing.T) {
	installFakeDeno(t)
	for _, c := range []struct {
		name string
		edit func(t *testing.T, dir string)
		runs bool // a new process
		env  string
	}{
		{"the function", func(t *testing.T, dir string) { writeFile(t, dir, "hello/index.ts", "serve ") }, true, "hi"},
		{"shared code", func(t *testing.T, dir string) { writeFile(t, dir, "_shared/deep/cors.ts", "x") }, true, "hi"},
		{"the environment", func(t *testing.T, dir string) { writeFile(t, dir, ".env", "GREETING=changed") }, true, "changed"},
		{"config.toml", func(t *testing.T, dir string) {
			writeFile(t, filepath.Dir(dir), "config.toml", "[functions.hello]\nverify_jwt = false\n")
		}, true, "hi"},
		{"an import map", func(t *testing.T, dir string) { writeFile(t, dir, "hello/deno.json", "{}") }, true, "hi"},
		{"a config.toml that is none", func(t *testing.T, dir string) { writeFile(t, filepath.Dir(dir), "config.toml", "[") }, false, "hi"},
		{"a file that functions write", func(t *testing.T, dir string) { writeFile(t, dir, "hello/data.sqlite", "x") }, false, "hi"},
		{"what deno writes", func(t *testing.T, dir string) {
			writeFile(t, dir, "deno.lock", "{}")
			writeFile(t, dir, "hello/node_modules/a/index.js", "")
		}, false, "hi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := fakeFolder(t)
			d, r, client, out := serveDeno(t, dir)
			before := ask(t, client, "http://"+r.addr+"/hello")
			c.edit(t, dir)
			settle(d)
			after := ask(t, client, "http://"+r.addr+"/hello")
			if (after.PID != before.PID) != c.runs || after.Env["GREETING"] != c.env {
				t.Errorf("process %d and then %d, GREETING=%s\n%s", before.PID, after.PID, after.Env["GREETING"], out)
			}
			if c.runs {
				eventually(t, "the process before ends", func() bool { return !alive(before.PID) })
			}
		})
	}
}

// settle lets a look at the folder that was just made not count any more.
func settle(d *denoRuntime) {
	d.watcher.mu.Lock()
	d.watcher.looked = time.Time{}
	d.watcher.mu.Unlock()
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// A call that is under way when its code is replaced ends in the process that it began in.
func TestDenoEditsLetCallsEnd(t *testing.T) {
	installFakeDeno(t)
	dir := fakeFolder(t)
	d, r, client, _ := serveDeno(t, dir)
	res, err := client.Get("http://" + r.addr + "/hello/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() {
		t.Fatal("no line")
	}
	var old int
	if _, err := fmt.Sscanf(lines.Text(), "line of %d", &old); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "hello/index.ts", "serve ")
	settle(d)
	if pid := ask(t, client, "http://"+r.addr+"/hello").PID; pid == old {
		t.Error("the new call ran in the old process")
	}
	for range 5 {
		if !lines.Scan() || !alive(old) {
			t.Fatalf("the stream was cut: %v", lines.Err())
		}
	}
	_ = res.Body.Close()
	eventually(t, "the old process ends", func() bool { return !alive(old) })
}

// The gateway is told of functions that come and go, and of what verifies a JWT; it is not told of other edits.
func TestDenoEditsTellTheGateway(t *testing.T) {
	installFakeDeno(t)
	dir := fakeFolder(t)
	d, r, client, out := serveDeno(t, dir)
	told := make(chan string, 10)
	d.watch(func() error {
		told <- slugs(d.functions())
		return nil
	})
	next := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("told were %s, not %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("the gateway was not told of %s\n%s", want, out)
		}
	}
	writeFile(t, dir, "hello/index.ts", "serve ")
	writeFile(t, dir, "more/index.ts", "serve")
	next("dead deaf hello more stubborn")
	if res, _ := get(t, client, "http://"+r.addr+"/more"); res.StatusCode != http.StatusOK {
		t.Errorf("the new function: %d", res.StatusCode)
	}
	if err := os.RemoveAll(filepath.Join(dir, "dead")); err != nil {
		t.Fatal(err)
	}
	next("deaf hello more stubborn")
	if res, _ := get(t, client, "http://"+r.addr+"/dead"); res.StatusCode != http.StatusNotFound {
		t.Errorf("the function that is gone: %d", res.StatusCode)
	}
	writeFile(t, filepath.Dir(dir), "config.toml", "[functions.hello]\nverify_jwt = false\nentry_point = 'x'\n")
	next("deaf hello* more stubborn")
	if !strings.Contains(out.String(), "functions.hello.entry_point: the key entry_point is not known; did you mean entrypoint?") {
		t.Errorf("no warning in %s", out)
	}
	select {
	case more := <-told:
		t.Errorf("told once more: %s", more)
	default:
	}
}

// A start that takes long is spoken of within about a second, and one that does not come to an end says what is missing.
func TestDenoSaysWhatIsGoingOn(t *testing.T) {
	installFakeDeno(t)
	dir := fakeFolder(t)
	d, r, client, out := serveDeno(t, dir)
	d.boot = 1500 * time.Millisecond
	if res, _ := get(t, client, "http://"+r.addr+"/deaf"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %d", res.StatusCode)
	}
	for _, want := range []string{
		"asking ", "deno 2.9.6 runs the functions of ",
		"[us-east-1/deaf] starting\n",
		"[us-east-1/deaf] still starting after 1 s: at its first start deno downloads modules and compiles\n",
		"[us-east-1/deaf] does not listen after 1.5s and is ended: " + filepath.Join(dir, "deaf", "index.ts") +
			" has to call Deno.serve(handler) or export default { fetch: handler }\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}
