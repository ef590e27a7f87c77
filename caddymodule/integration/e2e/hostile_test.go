//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hostileCalls is how often each hostile request is sent and each hostile answer given.
const hostileCalls = 50

// hostileWorld is a gateway in front of backends that speak HTTP/1.1, HTTP/2 without TLS and HTTP/2 with it. The first
// project's function evil answers as the test says; its function good, and the one of a project of another
// organization, answer ok.
type hostileWorld struct {
	*gateway
	client  *http.Client
	others  int // calls of others so far
	answer1 func(conn net.Conn)
	answer2 func(a *h2Answer)
	mu      sync.Mutex // guards the answers
}

// The regions of a hostileWorld by what their backends speak.
const (
	regionHTTP1 = "eu-central-1"
	regionH2C   = "us-east-1"
	regionH2    = "ap-southeast-2"
)

func startHostileWorld(t *testing.T) *hostileWorld {
	t.Helper()
	h := &hostileWorld{}
	plain := httptest.NewUnstartedServer(http.HandlerFunc(h.serveHTTP1))
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.Start()
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(nil) // for its certificate
	certificate, authority := secure.TLS.Certificates[0], filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	secure.Close()
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	h2c := serveFrames(t, nil, h.serveHTTP2)
	h2 := serveFrames(t, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}, h.serveHTTP2)

	first, second := projectOf(firstRef, jwtSecret), projectOf(secondRef, otherSecret)
	for _, project := range []object{first, second} {
		project["functions"] = []object{{"slug": "evil", "verify_jwt": false}, {"slug": "good", "verify_jwt": false}}
	}
	second["organization"] = "globex"
	all := document(first, second)
	all["organizations"] = []object{{"id": "acme"}, {"id": "globex"}}
	path := filepath.Join(t.TempDir(), "projects.json")
	replaceFile(t, path, all)
	h.gateway = prepareGateway(t)
	startTLSGateway(t, h.gateway, config{
		options: "\t\tidle_timeout 5s", source: "projects file " + path,
		backends: []backend{
			{regionHTTP1, plain.Listener.Addr().String(), ""},
			{regionH2C, "h2c://" + h2c, "\t\t\tbias 500ms\n"},
			{regionH2, "https://" + h2, "\t\t\tbias 900ms\n\t\t\ttls {\n\t\t\t\tca " + authority + "\n\t\t\t\tserver_name example.com\n\t\t\t}\n"},
		},
	})
	h.url = fmt.Sprintf("https://localhost:%d", h.port)
	h.client = &http.Client{Timeout: askTimeout, Transport: &http.Transport{
		TLSClientConfig: testTLS("http/1.1"), MaxIdleConnsPerHost: 20,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, h.addr)
		},
	}}
	t.Cleanup(h.client.CloseIdleConnections)
	waitUntil(t, "all regions are up", func() bool { return h.states(t) == "up up up" })
	return h
}

// answering has evil answer in these ways.
func (h *hostileWorld) answering(one func(conn net.Conn), two func(a *h2Answer)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer1, h.answer2 = one, two
}

func (h *hostileWorld) serveHTTP1(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	answer := h.answer1
	h.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body) // what is left unread breaks the connection under the answer
	if !strings.HasPrefix(r.RequestURI, "/evil") || answer == nil {
		_, _ = io.WriteString(w, "ok")
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err) // the server speaks HTTP/1.1
	}
	defer conn.Close()
	answer(conn)
}

func (h *hostileWorld) serveHTTP2(a *h2Answer) {
	h.mu.Lock()
	answer := h.answer2
	h.mu.Unlock()
	if strings.HasPrefix(a.path, "/evil") && answer != nil {
		answer(a)
		return
	}
	a.headers(false, ":status", "200")
	_ = a.WriteData(a.stream, true, []byte("ok"))
}

// states are those of the three regions.
func (h *hostileWorld) states(t *testing.T) string {
	t.Helper()
	var said struct {
		Regions []struct {
			State    string
			Backends []struct{ State string }
		}
	}
	adminGet(t, h.gateway, "/edge_functions/regions", &said)
	var states []string
	for _, r := range said.Regions {
		state := r.State
		if state == "degraded" {
			state = "up" // slow, on a machine that is busy
		}
		states = append(states, state)
	}
	return strings.Join(states, " ")
}

// call sends one request of a project for a function.
func (h *hostileWorld) call(ref, slug, region, method string) (reply, error) {
	req, err := http.NewRequest(method, h.url+"/functions/v1/"+slug, nil)
	if err != nil {
		return reply{}, err
	}
	req.Host = ref + ".example.test"
	req.Header.Set("Origin", "https://app.example")
	if region != "" {
		req.Header.Set("X-Region", region)
	}
	if method == http.MethodPost {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("body")), 4
	}
	res, err := h.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(body)}, err
}

// untouched checks that all that is not evil is as if nothing had happened: contract 9.1 to 9.5.
func (h *hostileWorld) untouched(t *testing.T) {
	t.Helper()
	h.repeatedly(t, "afterwards", func() []string { return nil })
}

// repeatedly makes requests, checks what became of all others, and fails the test with what both found. On a machine that is
// too busy to answer a probe in time, backends are left out whatever anybody sends: then it is repeated. What requests cause
// comes each time.
func (h *hostileWorld) repeatedly(t *testing.T, when string, requests func() []string) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		before := h.late()
		found := append(requests(), h.damage(t)...)
		if len(found) == 0 {
			return
		}
		if attempt == 5 || h.late() == before {
			t.Fatalf("%s, at the attempt %d: %s", when, attempt, strings.Join(found[:min(len(found), 20)], "\n"))
		}
		t.Logf("%s: a probe was not answered in time; once more", when)
		waitUntil(t, "all regions are up", func() bool { return h.states(t) == "up up up" })
	}
}

// late counts the log lines that say that a backend is down because probes had no answer in time.
func (h *hostileWorld) late() int {
	n := 0
	for line := range strings.Lines(h.output()) {
		if strings.Contains(line, `"to":"down"`) && strings.Contains(line, "no answer in time") {
			n++
		}
	}
	return n
}

// damage calls the projects and regions of everybody but the hostile function, and returns what is wrong there.
func (h *hostileWorld) damage(t *testing.T) (found []string) {
	t.Helper()
	if states := h.states(t); states != "up up up" {
		found = append(found, "the regions are "+states)
	}
	for _, ref := range []string{firstRef, secondRef} {
		for _, region := range []string{"", regionHTTP1, regionH2C, regionH2} {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				got, err := h.call(ref, "good", region, method)
				if err != nil || got.status != http.StatusOK || got.body != "ok" {
					found = append(found, fmt.Sprintf("%s good of %s in %q: %d %s, %v", method, ref, region, got.status, got.body, err))
				}
				if ran := got.header.Get("X-Sb-Edge-Region"); region != "" && ran != region || region == "" && ran != regionHTTP1 {
					found = append(found, fmt.Sprintf("named %q, it ran in %q", region, ran))
				}
				h.others++
			}
		}
	}
	return found
}

// isGateway checks that an answer is one of the gateway's own, in full.
func isGateway(got reply, status int, code string) error {
	var said struct{ Code, Message string }
	switch err := json.Unmarshal([]byte(got.body), &said); {
	case got.status != status || got.code() != code:
		return fmt.Errorf("answered %d %s, want %d %s", got.status, got.code(), status, code)
	case err != nil || said.Code != code || said.Message == "" || got.header.Get("Content-Type") != "application/json":
		return fmt.Errorf("the body is %q", got.body)
	case got.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "sb-error-code"):
		return fmt.Errorf("a browser could not read it: %v", got.header)
	case got.header.Get("Sb-Request-Id") == "" || got.header.Get("Sb-Gateway-Version") == "":
		return fmt.Errorf("it says not whose it is: %v", got.header)
	}
	return nil
}

// attack gives the answers of now to evil hostileCalls times, some at once, and checks each by the status that it must
// have: 0 for none in particular, since its head was one.
func (h *hostileWorld) attack(t *testing.T, region string, want int) {
	t.Helper()
	var running sync.WaitGroup
	for worker := range 5 {
		running.Go(func() {
			for n := range hostileCalls / 5 {
				method := http.MethodPost
				if (worker+n)%2 == 0 {
					method = http.MethodGet
				}
				got, err := h.call(firstRef, "evil", region, method)
				if want == 0 {
					continue
				}
				if err == nil {
					err = isGateway(got, want, map[int]string{
						500: "INVALID_RESPONSE_STATUS_CODE", 502: "BACKEND_ERROR", 504: "IDLE_TIMEOUT",
					}[want])
				}
				if err != nil {
					t.Errorf("%s: %v", method, err)
					return
				}
			}
		})
	}
	running.Wait()
	h.untouched(t)
}

// mutated returns a copy of text in which chance has changed a byte, taken a piece out, or sent a piece twice.
func mutated(random *rand.Rand, text string) string {
	at := random.IntN(len(text))
	end := min(len(text), at+1+random.IntN(8))
	switch random.IntN(4) {
	case 0:
		return text[:at] + text[end:]
	case 1:
		return text[:end] + text[at:]
	case 2:
		return text[:at] + mutants[random.IntN(len(mutants))] + text[at:]
	}
	return text[:at] + mutants[random.IntN(len(mutants))] + text[at+1:]
}

// mutants are what readers of HTTP stumble over.
var mutants = []string{
	"\x00", "\r", "\n", "\r\n", "\r\n\r\n", " ", "\t", ":", ",", ";", "\"", "\x0b", "\x7f", "\x80", "\xff", "-1", "+", "%", "0", "9", "\r\n ", "chunked",
}

// serveFrames starts a backend that answers in frames of the test's making, with TLS or without.
func serveFrames(t *testing.T, config *tls.Config, answer func(a *h2Answer)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	acceptAll(t, listener, func(conn net.Conn) { answerFrames(conn, answer) })
	return address
}

// h2Answer is one request to a backend that speaks in frames.
type h2Answer struct {
	*http2.Framer
	conn   net.Conn
	stream uint32
	path   string
}

func answerFrames(conn net.Conn, answer func(a *h2Answer)) {
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	if secured, ok := conn.(*tls.Conn); ok && secured.ConnectionState().NegotiatedProtocol != "h2" {
		return // it takes nothing else
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = f.WritePing(true, frame.Data)
			}
		case *http2.DataFrame:
			if n := uint32(len(frame.Data())); n > 0 {
				_ = f.WriteWindowUpdate(0, n)
			}
		case *http2.MetaHeadersFrame:
			answer(&h2Answer{f, conn, frame.StreamID, frame.PseudoValue("path")})
		}
	}
}

// headers sends a header block in as many frames as it takes.
func (a *h2Answer) headers(end bool, fields ...string) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	for began := false; ; began = true {
		part := block.Next(16 << 10)
		last := block.Len() == 0
		if began {
			_ = a.WriteContinuation(a.stream, last, part)
		} else {
			_ = a.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: part, EndStream: end, EndHeaders: last})
		}
		if last {
			return
		}
	}
}

// reset ends a connection as a process that dies does.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// soon bounds what a test waits for on a connection that may say nothing.
const soon = 300 * time.Millisecond
