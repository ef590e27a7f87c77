package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// site is a gateway in this process: one site before a backend in eu-central-1 and a dead one in us-east-1.
type site struct {
	url, address string
}

// serve runs a Caddyfile with further lines of the global option and of the site. Its
// log is logged.
func serve(t *testing.T, options, directive string, backend http.HandlerFunc) *site {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	logged.forget()
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	servers {
		trusted_proxies static 127.0.0.2/32
	}
	log {
		output kept
		format json
	}
	edge_functions {
		location eu-central-1
		region eu-central-1 {
			backend %s
		}
		region us-east-1 {
			backend http://%s
		}
		%s
	}
}
http://:%s {
	bind 127.0.0.1
	edge_functions {
		%s
	}
}
`, server.URL, freeAddress(t), options, port, directive)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	load(t, config)
	return &site{url: "http://" + address, address: address}
}

// received is an answer with its body read.
type received struct {
	*http.Response
	body string
	err  error // of reading the body
}

// call sends a request. Headers are pairs of a name and a value.
func (s *site) call(t *testing.T, method, path, body string, headers ...string) received {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	return s.do(t, request)
}

// do sends a request and reads its answer.
func (*site) do(t *testing.T, request *http.Request) received {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Errorf("%s %s: %v", request.Method, request.URL, err)
		return received{Response: new(http.Response), err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return received{res, string(text), err}
}

// raw sends bytes over a connection of its own and returns a reader of what comes back.
func (s *site) raw(t *testing.T, bytes string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, bytes); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// project is the block of a project whose functions anybody may call.
func public(functions ...string) string {
	var b strings.Builder
	b.WriteString("project default {\n")
	for _, f := range functions {
		fmt.Fprintf(&b, "function %s {\nverify_jwt off\n}\n", f)
	}
	b.WriteString("}\n")
	return b.String()
}

// functions are what the tests' backend can do, by the name of the function.
func functions(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	switch strings.Split(r.URL.Path, "/")[1] {
	case "echo":
		body, _ := io.ReadAll(r.Body)
		header.Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery, "host": r.Host, "header": r.Header, "body": string(body),
		})
	case "html":
		header.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><p>hello")
	case "untyped":
		header["Content-Type"] = nil
		_, _ = io.WriteString(w, "<!doctype html><p>hello")
	case "fails":
		header.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"code":"BOOT_ERROR","message":"no"}`)
	case "crashes":
		w.WriteHeader(http.StatusInternalServerError)
	case "closes":
		panic(http.ErrAbortHandler)
	case "breaks":
		header.Set("Content-Length", "100")
		_, _ = io.WriteString(w, "part of it")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "origins":
		header.Add("Access-Control-Allow-Origin", "https://a.example")
		header.Add("Access-Control-Allow-Origin", "https://b.example")
	case "trailers":
		header.Set("Trailer", "X-Sum, Set-Cookie")
		_, _ = io.WriteString(w, "body")
		header.Set("X-Sum", "4")
		header.Set("Set-Cookie", "late=1")
	case "odd":
		w.WriteHeader(299)
	case "silent":
		<-r.Context().Done()
	case "stream":
		header.Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		_, _ = io.WriteString(w, "hello")
	}
}

var every = []string{"hello", "echo", "html", "untyped", "fails", "crashes", "closes", "breaks", "origins", "trailers", "odd", "silent", "stream"}

func TestAnswers(t *testing.T) {
	s := serve(t, public(every...)+"idle_timeout 1s\nmax_body 64", "expose X-Sum", functions)
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     map[string]string // headers; "-" for none
		contains                 string            // of the body
	}{
		{
			"contract 2.7 a function's answer", "GET", "/functions/v1/hello", "", nil, 200,
			map[string]string{"X-Sb-Edge-Region": "eu-central-1", "X-Sb-Region-Reason": "nearest", "Sb-Gateway-Version": "1", "Sb-Project-Ref": "default", "X-Served-By": "supabase-edge-runtime", "Sb-Error-Code": "-"},
			"hello",
		},
		{"contract 1.7 no function's path", "GET", "/elsewhere", "", nil, 404, map[string]string{"Sb-Error-Code": "NOT_FOUND", "Content-Type": "application/json"}, `"code":"NOT_FOUND"`},
		{"contract 1.7 no such function", "POST", "/functions/v1/nobody", "{}", nil, 404, map[string]string{"Sb-Error-Code": "NOT_FOUND"}, `"message":`},
		{"contract 4.2 a preflight", "OPTIONS", "/functions/v1/hello", "", []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}, 204, map[string]string{"Access-Control-Allow-Origin": "*"}, ""},
		{"contract 4.2 another OPTIONS", "OPTIONS", "/functions/v1/hello", "", nil, 204, map[string]string{"Allow": "GET, POST, PUT, PATCH, DELETE, OPTIONS"}, ""},
		{"contract 2.4 a region that is not configured", "GET", "/functions/v1/hello", "", []string{"X-Region", "mars-1"}, 400, map[string]string{"X-Sb-Edge-Region": "-"}, `"message":`},
		{"contract 2.5 a named region that is dead", "GET", "/functions/v1/hello", "", []string{"X-Region", "us-east-1"}, 503, map[string]string{"X-Sb-Edge-Region": "us-east-1", "Retry-After": "5"}, "REGION_UNAVAILABLE"},
		{"contract 4.4 a refusal that browsers can read", "GET", "/functions/v1/nobody", "", []string{"Origin", "https://app.example"}, 404, map[string]string{"Access-Control-Allow-Origin": "*"}, "NOT_FOUND"},
		{"contract 4.9 two allowed origins", "GET", "/functions/v1/origins", "", []string{"Origin", "https://a.example"}, 200, map[string]string{"Access-Control-Allow-Origin": "-"}, ""},
		{"contract 6.3 HTML of a shared host", "GET", "/functions/v1/html", "", nil, 200, map[string]string{"Content-Type": "text/plain"}, "<p>"},
		{"contract 6.3 HTML that only its body betrays", "GET", "/functions/v1/untyped", "", nil, 200, map[string]string{"Content-Type": "text/plain"}, "<p>"},
		{"5 a function's own error code", "GET", "/functions/v1/fails", "", nil, 500, map[string]string{"Sb-Error-Code": "BOOT_ERROR"}, "BOOT_ERROR"},
		{"5 an error without a code", "GET", "/functions/v1/crashes", "", nil, 500, map[string]string{"X-Sb-Edge-Region": "eu-central-1"}, ""},
		{"5 no answer", "POST", "/functions/v1/closes", "x", nil, 502, map[string]string{"X-Sb-Edge-Region": "eu-central-1"}, `"code":`},
		{"5 nothing for longer than the idle timeout", "GET", "/functions/v1/silent", "", nil, 504, map[string]string{"Sb-Error-Code": "IDLE_TIMEOUT"}, "IDLE_TIMEOUT"},
		{"contract 5.8 HEAD is no method of functions", "HEAD", "/functions/v1/hello", "", nil, 405, nil, ""},
		{"contract 5.10 a body that is too large", "POST", "/functions/v1/echo", strings.Repeat("x", 65), nil, 413, nil, `"code":`},
		{"contract 1.3, 6.5 a body arrives", "POST", "/functions/v1/echo/sub?a=1&b=%zz", "some body", nil, 200, nil, `"body":"some body"`},
		{"5 a status that is no HTTP standard's", "GET", "/functions/v1/odd", "", nil, 299, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.call(t, tc.method, tc.path, tc.body, tc.headers...)
			if got.StatusCode != tc.status || got.err != nil || !strings.Contains(got.body, tc.contains) {
				t.Fatalf("%d %v %s, want %d and %q", got.StatusCode, got.err, got.body, tc.status, tc.contains)
			}
			if len(got.Header.Get("Sb-Request-Id")) < 20 {
				t.Errorf("request id %q", got.Header.Get("Sb-Request-Id"))
			}
			for name, want := range tc.want {
				values := got.Header.Values(name)
				if want == "-" && len(values) > 0 || want != "-" && (len(values) != 1 || values[0] != want) {
					t.Errorf("%s: %q, want %q", name, values, want)
				}
			}
		})
	}
	t.Run("contract 6.8 an answer that breaks off", func(t *testing.T) {
		if got := s.call(t, "GET", "/functions/v1/breaks", ""); got.StatusCode != 200 || got.err == nil {
			t.Errorf("%d, %v, %q: want an error of reading", got.StatusCode, got.err, got.body)
		}
	})
	t.Run("contract 6.9 trailers follow the head's policy", func(t *testing.T) {
		got := s.call(t, "GET", "/functions/v1/trailers", "")
		if got.body != "body" || got.Trailer.Get("X-Sum") != "4" || got.Trailer.Get("Set-Cookie") != "" {
			t.Errorf("%q, trailers %v", got.body, got.Trailer)
		}
	})
	t.Run("contract 1.8 what a backend is told of the caller", func(t *testing.T) {
		got := s.call(t, "GET", "/functions/v1/echo", "", "X-Forwarded-For", "203.0.113.9", "Sb-Request-Id", "forged", "X-Sb-Edge-Region", "forged")
		var said struct{ Header http.Header }
		if err := json.Unmarshal([]byte(got.body), &said); err != nil {
			t.Fatal(err)
		}
		if h := said.Header; h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("Sb-Request-Id") != got.Header.Get("Sb-Request-Id") || h.Get("X-Sb-Edge-Region") != "eu-central-1" || h.Get("X-Forwarded-Prefix") != "/functions/v1" {
			t.Errorf("headers %v", h)
		}
	})
	t.Run("a client that goes away", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, "GET", s.url+"/functions/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		first := make([]byte, 7)
		if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: 1" {
			t.Fatalf("%q, %v", first, err)
		}
		cancel()
	})
}

func TestRefusedUploads(t *testing.T) {
	s := serve(t, public("hello"), "", functions)
	for _, size := range []int{10, 1_000_000} {
		conn, r := s.raw(t, fmt.Sprintf("POST /functions/v1/nobody HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\nbegin", s.address, size))
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("%d bytes: %v, %v", size, res, err)
		}
		_ = conn.Close()
	}
}

// An upload that ends after the refusal leaves a connection that can be used again.
func TestRefusedUploadKeepsTheConnection(t *testing.T) {
	s := serve(t, public("hello"), "", functions)
	conn, r := s.raw(t, fmt.Sprintf("POST /functions/v1/nobody HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\nbegin", s.address))
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusNotFound {
		t.Fatalf("%v, %v", res, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_, _ = fmt.Fprintf(conn, "_end.GET /functions/v1/hello HTTP/1.1\r\nHost: %s\r\n\r\n", s.address)
	if res, err = http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", res, err)
	}
}

func TestWebSocketsPass(t *testing.T) {
	s := serve(t, public("socket"), "", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/socket") {
			return // a health probe
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		frame := make([]byte, 8) // of two bytes, masked
		if _, err := io.ReadFull(buffered, frame); err != nil {
			t.Error(err)
		}
		_, _ = conn.Write([]byte{0x81, 2, 'o', 'k'})
		_, _ = conn.Write([]byte{0x88, 2, 0x03, 0xe8}) // the end, 1000
	})
	_, r := s.raw(t, fmt.Sprintf("GET /functions/v1/socket HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.address)+"\x81\x82\x00\x00\x00\x00hi")
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("X-Sb-Edge-Region") != "eu-central-1" {
		t.Fatalf("%v, %v", res, err)
	}
	got := make([]byte, 8)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "\x81\x02ok\x88\x02\x03\xe8" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLimits(t *testing.T) {
	s := serve(t, "debug_secret a-secret-of-the-operator\nrate_limit client_ip 1000/1s\nrate_limit function 3/1h\nrate_limit subject 5/1m local shadow\nplan tight {\nquota 4\nspend_cap on\n}\n"+
		"locate {\nheader CF-IPCountry\n}\n"+strings.Replace(public("hello", "other", "third"), "{\n", "{\nplan tight\n", 1), "cors {\norigin https://app.example\n}\nhtml keep", functions)
	call := func(name string, headers ...string) received {
		return s.call(t, "GET", "/functions/v1/"+name, "", headers...)
	}
	got := call("hello", "X-Sb-Debug", "a-secret-of-the-operator", "Origin", "https://app.example")
	if got.StatusCode != 200 || !json.Valid([]byte(got.Header.Get("X-Sb-Debug"))) || got.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if got = call("hello", "X-Sb-Debug", "another"); got.Header.Get("X-Sb-Debug") != "" || got.Header.Get("RateLimit") == "" || got.Header.Get("RateLimit-Policy") == "" {
		t.Errorf("%v", got.Header)
	}
	if got = call("hello"); got.StatusCode != 200 {
		t.Errorf("%d", got.StatusCode)
	}
	if got = call("hello"); got.StatusCode != 429 || got.Header.Get("Retry-After") == "" {
		t.Errorf("contract 5.11 a used-up limit: %d %v", got.StatusCode, got.Header)
	}
	if got = call("other"); got.StatusCode != 200 || got.Header.Get("X-Sb-Quota-Remaining") != "0" {
		t.Errorf("contract 7.5 the last of a quota: %d %v", got.StatusCode, got.Header)
	}
	if got = call("third"); got.StatusCode != 402 || got.Header.Get("X-Sb-Quota-Remaining") != "0" {
		t.Errorf("contract 7.5 a used-up quota: %d %s", got.StatusCode, got.body)
	}
}

func TestInFlight(t *testing.T) {
	entered := make(chan struct{}, 2)
	release := make(chan struct{})
	end := sync.OnceFunc(func() { close(release) })
	t.Cleanup(end)
	s := serve(t, "in_flight function 1\nin_flight project 2\nin_flight client_ip 2\ncapacity_share 50%\n"+public("slow", "hello"), "", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow") {
			entered <- struct{}{}
			select {
			case <-release:
			case <-time.After(10 * time.Second):
			}
		}
	})
	done := make(chan int)
	go func() {
		res, err := http.Get(s.url + "/functions/v1/slow") //nolint:noctx // it ends with the test
		if err != nil {
			t.Error(err)
			done <- 0
			return
		}
		res.Body.Close()
		done <- res.StatusCode
	}()
	<-entered
	if got := s.call(t, "GET", "/functions/v1/slow", ""); got.StatusCode != 429 && got.StatusCode != 503 {
		t.Errorf("contract 9.6 a second call of a function with a cap of one: %d %s", got.StatusCode, got.body)
	}
	if got := s.call(t, "GET", "/functions/v1/hello", ""); got.StatusCode != 200 {
		t.Errorf("contract 9.6 another function: %d %s", got.StatusCode, got.body)
	}
	end()
	if status := <-done; status != 200 {
		t.Errorf("the first call: %d", status)
	}
}
