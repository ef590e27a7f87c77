//go:build unix

package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary a stand-in for deno when it is called by that name: the runner's own behaviour (ports, logs, restarts,
// the end of processes) is tested without one; the real one is in the e2e files.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "deno" {
		os.Exit(fakeDeno(os.Args))
	}
	os.Exit(m.Run())
}

// installFakeDeno puts the stand-in on PATH.
func installFakeDeno(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "deno")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
}

// fakeDeno does what the first word of the entry file says.
func fakeDeno(args []string) int {
	if len(args) > 1 && args[1] == "eval" {
		fmt.Printf("%s\n2.9.6\n", args[0])
		return 0
	}
	script, err := os.ReadFile(args[len(args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cwd, _ := os.Getwd()
	fmt.Printf("args %s in %s\n", strings.Join(args[1:], " "), filepath.Base(cwd))
	fmt.Fprint(os.Stderr, "half a ")
	fmt.Fprint(os.Stderr, "line")
	switch strings.TrimSpace(string(script)) {
	case "die":
		return 3
	case "deaf":
		select {}
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	address := strings.TrimPrefix(os.Getenv("DENO_SERVE_ADDRESS"), "tcp:")
	err = http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, rest := splitSlug(r.URL.Path); rest {
		case "/die":
			os.Exit(4)
		case "/stream":
			for r.Context().Err() == nil {
				_, _ = fmt.Fprintf(w, "line of %d\n", os.Getpid())
				w.(http.Flusher).Flush()
				<-time.After(20 * time.Millisecond)
			}
			return
		case "/upgrade":
			serveWebSocket(w, r, os.Getenv("SB_REGION"))
			return
		}
		env := map[string]string{}
		for _, pair := range os.Environ() {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(fakeAnswer{os.Getpid(), r.RequestURI, r.Host, r.Header, string(body), env})
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

type fakeAnswer struct {
	PID    int
	URI    string
	Host   string
	Header http.Header
	Body   string
	Env    map[string]string
}
