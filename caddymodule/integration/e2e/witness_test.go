//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// witness is a backend that counts what it was sent, which is what must be billed.
type witness struct {
	*httptest.Server
	calls atomic.Int64
}

func startWitness(t *testing.T) *witness {
	t.Helper()
	w := new(witness)
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_internal") {
			return
		}
		if r.Method != http.MethodOptions {
			w.calls.Add(1)
		}
		switch {
		case strings.HasPrefix(r.URL.Path, "/missing"):
			rw.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(r.URL.Path, "/failing"):
			rw.WriteHeader(http.StatusInternalServerError)
		case strings.HasPrefix(r.URL.Path, "/cut"):
			rw.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(rw, "half")
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(r.URL.Path, "/reset"):
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(r.URL.Path, "/socket"):
			holdSocket(rw)
		case strings.HasPrefix(r.URL.Path, "/slow"):
			rw.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(rw).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// holdSocket switches protocols, and is silent until the other side ends the connection.
func holdSocket(rw http.ResponseWriter) {
	conn, both, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_ = both.Flush()
	_, _ = io.Copy(io.Discard, both)
}

func (w *witness) address() string { return strings.TrimPrefix(w.URL, "http://") }

// counted is what `usage show` says, of all functions or of one, with the regions.
func counted(t *testing.T, g *gateway, slug string) (n int64, regions map[string]int64) {
	t.Helper()
	regions = make(map[string]int64)
	var said struct {
		Organizations []struct {
			Invocations int64
			Projects    []struct {
				Functions []struct {
					Slug, Region string
					Invocations  int64
				}
			}
		}
	}
	adminGet(t, g, "/edge_functions/usage", &said)
	sum := int64(0)
	for _, o := range said.Organizations {
		sum += o.Invocations
		for _, p := range o.Projects {
			for _, f := range p.Functions {
				if slug == "" || slug == f.Slug {
					n += f.Invocations
					regions[f.Region] += f.Invocations
				}
			}
		}
	}
	if slug == "" && n != sum {
		t.Errorf("functions add up to %d, organizations to %d", n, sum)
	}
	return n, regions
}

// refused is what `usage show` says of requests that were no invocations, by status.
func refused(t *testing.T, g *gateway) map[string]uint64 {
	t.Helper()
	var said struct {
		Organizations []struct{ Refused map[string]uint64 }
	}
	adminGet(t, g, "/edge_functions/usage", &said)
	all := make(map[string]uint64)
	for _, o := range said.Organizations {
		for status, n := range o.Refused {
			all[status] += n
		}
	}
	return all
}

// unfinished is how many invocations have no end yet.
func unfinished(t *testing.T, g *gateway) (n int) {
	t.Helper()
	var said struct {
		Organizations []struct{ Unfinished int }
	}
	adminGet(t, g, "/edge_functions/usage", &said)
	for _, o := range said.Organizations {
		n += o.Unfinished
	}
	return n
}

func adminGet(t *testing.T, g *gateway, path string, into any) {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", g.admin, path))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
	}
}

func public(slugs ...string) string {
	var b strings.Builder
	for _, slug := range slugs {
		fmt.Fprintf(&b, "\t\t\tfunction %s {\n\t\t\t\tverify_jwt off\n\t\t\t}\n", slug)
	}
	return b.String()
}
