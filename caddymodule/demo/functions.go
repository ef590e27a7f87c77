package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxEchoBody = 1 << 20 // bytes of a body that echo and hello read
	maxSlow     = 10 * time.Minute
)

// samples is the runtime of functions that come with the demo.
type samples struct{}

type sampleFunc func(w http.ResponseWriter, r *http.Request, region string)

// sampleTable lists the sample functions. Those that a browser can only open without headers (a page, an EventSource, a WebSocket) do
// not verify a JWT.
var sampleTable = []struct {
	function
	serve sampleFunc
}{
	{function{"hello", true}, serveHello},
	{function{"echo", true}, serveEcho},
	{function{"page", false}, servePage},
	{function{"clock", false}, serveClock},
	{function{"ws", false}, serveWebSocket},
	{function{"slow", true}, serveSlow},
	{function{"crash", true}, serveCrash},
	{function{"status", true}, serveStatus},
}

func (samples) functions() []function {
	all := make([]function, 0, len(sampleTable))
	for _, s := range sampleTable {
		all = append(all, s.function)
	}
	return all
}

func (samples) stop() {}

func (samples) handler(region string) http.Handler {
	bySlug := make(map[string]sampleFunc, len(sampleTable))
	for _, s := range sampleTable {
		bySlug[s.slug] = s.serve
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slug, _ := splitSlug(r.URL.Path)
		serve, ok := bySlug[slug]
		if !ok {
			writeNotFound(w)
			return
		}
		serve(w, r, region)
	})
}

// splitSlug parts `/slug/rest` into the slug and `/rest`, or an empty rest.
func splitSlug(path string) (slug, rest string) {
	slug = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(slug, '/'); i >= 0 {
		return slug[:i], slug[i:]
	}
	return slug, ""
}

// serveHello is the hello-world of the hosted platform's template, and says where it ran.
func serveHello(w http.ResponseWriter, r *http.Request, region string) {
	var in struct {
		Name string `json:"name"`
	}
	// Any body is welcome: a first try with curl often has none.
	_ = json.NewDecoder(io.LimitReader(r.Body, maxEchoBody)).Decode(&in)
	name := in.Name
	if name == "" {
		name = "Functions"
	}
	writeJSON(w, http.StatusOK, struct {
		Message string `json:"message"`
		Region  string `json:"region"`
		Name    string `json:"name"`
	}{"Hello " + name + "!", region, in.Name})
}

// serveEcho shows what reached the backend. Credentials are cut: what is shown ends up in screenshots.
func serveEcho(w http.ResponseWriter, r *http.Request, region string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEchoBody))
	if err != nil {
		return // the client went away
	}
	headers := make(map[string]string, len(r.Header))
	for name, values := range r.Header {
		value := strings.Join(values, ", ")
		switch name {
		case "Authorization":
			scheme, token, found := strings.Cut(value, " ")
			if found {
				value = scheme + " " + cut(token)
			} else {
				value = cut(value)
			}
		case "Apikey", "Cookie":
			value = cut(value)
		}
		headers[strings.ToLower(name)] = value
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	writeJSON(w, http.StatusOK, struct {
		Method  string            `json:"method"`
		Host    string            `json:"host"`
		Path    string            `json:"path"`
		Query   string            `json:"query"`
		Region  string            `json:"region"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}{r.Method, r.Host, path, query, region, headers, string(body)})
}

// cut leaves the first six characters.
func cut(credential string) string {
	if len(credential) > 6 {
		return credential[:6] + "..."
	}
	return credential
}

// servePage is a page a browser would run; the gateway's shared hosts turn it into text (contract 6.3).
func servePage(w http.ResponseWriter, _ *http.Request, region string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html>\n<title>page</title>\n<h1>Hello from %s</h1>\n<script>alert('not on a shared host')</script>\n", region)
}

// serveSlow answers after ?ms= milliseconds, 1000 if unsaid, or not at all when the client gives up.
func serveSlow(w http.ResponseWriter, r *http.Request, region string) {
	wait := time.Second
	if s := r.URL.Query().Get("ms"); s != "" {
		ms, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"message": "ms is a whole number of milliseconds"})
			return
		}
		wait = min(time.Duration(ms)*time.Millisecond, maxSlow)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
	case <-timer.C:
		writeJSON(w, http.StatusOK, map[string]any{"waited_ms": wait.Milliseconds(), "region": region})
	}
}

// serveCrash closes the connection without a byte of response.
func serveCrash(_ http.ResponseWriter, _ *http.Request, _ string) { panic(http.ErrAbortHandler) }

// serveStatus answers /status/N with N, from 200 to 599.
func serveStatus(w http.ResponseWriter, r *http.Request, region string) {
	_, rest := splitSlug(r.URL.Path)
	code, err := strconv.Atoi(strings.TrimPrefix(rest, "/"))
	if err != nil || code < 200 || code > 599 {
		writeJSON(w, http.StatusBadRequest, map[string]string{"message": "call /status/N with N from 200 to 599"})
		return
	}
	if code == http.StatusNoContent || code == http.StatusNotModified {
		w.WriteHeader(code)
		return
	}
	writeJSON(w, code, map[string]any{"status": code, "region": region})
}
