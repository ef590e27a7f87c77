package jwks

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Contract 3.14: what is taken for a set, and from where.
func TestFetchURL(t *testing.T) {
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(set(ec("foreign")))) }))
	defer foreign.Close()
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	zip.Write(bytes.Repeat([]byte(" "), 10<<20))
	zip.Close()
	mux := http.NewServeMux()
	answer := func(path string, handler http.HandlerFunc) { mux.HandleFunc(path, handler) }
	answer("/keys", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("User-Agent") != "edgegate" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked with %s %v", r.Method, r.Header)
		}
		w.Write([]byte(set(ec("a"))))
	})
	answer("/credentials", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "hunter2" || r.URL.RawQuery != "apikey=hunter3" {
			t.Errorf("asked as %s:%s for %s", user, password, r.URL)
		}
		w.Write([]byte(set(ec("a"))))
	})
	for _, status := range []string{"201", "204", "404", "500"} {
		answer("/"+status, func(w http.ResponseWriter, _ *http.Request) {
			code := map[string]int{"201": 201, "204": 204, "404": 404, "500": 500}[status]
			w.WriteHeader(code)
			if code != 204 {
				w.Write([]byte(set(ec("a"))))
			}
		})
	}
	redirect := func(path, to string) {
		answer(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	}
	redirect("/1", "/keys")
	redirect("/2", "/1")
	redirect("/3", "/2")
	redirect("/4", "/3")
	redirect("/loop", "/loop")
	redirect("/foreign", foreign.URL+"/?secret=hunter2")
	redirect("/scheme", "https"+strings.TrimPrefix(foreign.URL, "http"))
	redirect("/file", "file:///etc/passwd")
	answer("/large", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, MaxSize+1)) })
	answer("/most", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, MaxSize)) })
	answer("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	})
	answer("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", 100<<10))
	})
	answer("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte(set()))
	})
	slow := make(chan struct{})
	answer("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(slow)
	with := func(userinfo string) string { return strings.Replace(server.URL, "http://", "http://"+userinfo+"@", 1) }
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	tests := map[string]struct {
		url  string
		want string // in the error; empty: fetched
	}{
		"keys":                     {server.URL + "/keys", ""},
		"credentials and query":    {with("user:hunter2") + "/credentials?apikey=hunter3", ""},
		"as large as allowed":      {server.URL + "/most", ""},
		"one redirect":             {server.URL + "/1", ""},
		"three redirects":          {server.URL + "/3", ""},
		"four redirects":           {server.URL + "/4?hunter2", "redirects more than 3 times"},
		"redirects in a circle":    {server.URL + "/loop", "redirects more than 3 times"},
		"redirect to another port": {with("user:hunter2") + "/foreign", "another scheme, host or port"},
		"redirect to https":        {server.URL + "/scheme", "another scheme, host or port"},
		"redirect to a file":       {server.URL + "/file", "another scheme, host or port"},
		"status 201":               {server.URL + "/201", "status 201"},
		"status 204":               {server.URL + "/204", "status 204"},
		"status 404":               {with("user:hunter2") + "/404?apikey=hunter2", "status 404"},
		"status 500":               {server.URL + "/500", "status 500"},
		"too large":                {server.URL + "/large?hunter2", "more than 1048576 bytes"},
		"large headers":            {server.URL + "/headers?hunter2", "connection broke"},
		"cut":                      {server.URL + "/cut?hunter2", "connection broke"},
		"too slow":                 {with("user:hunter2") + "/slow?hunter2", "too slow"},
		"nobody there":             {strings.Replace(gone.URL, "http://", "http://user:hunter2@", 1) + "/?hunter2", "no connection"},
		"TLS with plain HTTP":      {strings.Replace(with("user:hunter2"), "http://", "https://", 1) + "/?hunter2", "connection broke"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := NewURL(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(f.Location(), "hunter") || strings.Contains(f.Location(), "?") {
				t.Errorf("the location is %s", f.Location())
			}
			limit := 5 * time.Second
			if name == "too slow" {
				limit = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errTooSlow)
			defer cancel()
			data, err := f.Fetch(ctx)
			if tt.want == "" {
				if err != nil || len(data) == 0 {
					t.Fatalf("%d bytes, %v", len(data), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			for _, inside := range []string{"hunter", "127.0.0.1", "http:"} {
				if strings.Contains(err.Error(), inside) {
					t.Errorf("the error has %q in it: %v", inside, err)
				}
			}
		})
	}

	t.Run("compressed", func(t *testing.T) {
		f := must(NewURL(server.URL + "/bomb"))
		data, err := f.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Parse(data); err == nil || len(data) > MaxSize {
			t.Errorf("%d bytes of a bomb were taken: %v", len(data), err)
		}
	})
}

type slowError struct{}

func (slowError) Error() string { return "too slow" }

var errTooSlow = slowError{}

func TestFetchTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Config.ErrorLog = nil
	defer server.Close()
	_, err := must(NewURL(server.URL)).Fetch(t.Context())
	if err == nil || !strings.Contains(err.Error(), "certificate is not trusted") {
		t.Errorf("fetched from a stranger: %v", err)
	}
}

func TestNewURLRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":   "",
		"no scheme": "//user:hunter2@example.com/keys",
		"file":      "file:///etc/hunter2",
		"ftp":       "ftp://user:hunter2@example.com",
		"no host":   "https:///hunter2",
		"only port": "https://:443/hunter2",
		"fragment":  "https://example.com/#hunter2",
		"no URL":    "https://user:hunter2@exa mple.com/%zz",
		"opaque":    "https:hunter2",
	} {
		t.Run(name, func(t *testing.T) {
			f, err := NewURL(raw)
			if err == nil || f != nil {
				t.Fatalf("NewURL(%q) = %v", raw, f)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the URL: %v", err)
			}
		})
	}
}

func TestFetchFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := map[string]struct {
		path string
		want string
	}{
		"a file":              {write("a", 5), ""},
		"empty":               {write("b", 0), ""},
		"as large as allowed": {write("c", MaxSize), ""},
		"too large":           {write("d", MaxSize+1), "more than"},
		"missing":             {filepath.Join(dir, "e"), "no such file"},
		"directory":           {dir, "not a regular file"},
		"device":              {os.DevNull, "not a regular file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewFile(tt.path).Fetch(t.Context())
			if tt.want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
