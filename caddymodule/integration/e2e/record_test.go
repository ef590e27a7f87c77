//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// accessLine is what the test reads of a line of Caddy's access log.
type accessLine struct {
	Status    int
	Size      int
	Duration  float64
	RequestID string `json:"sb_request_id"`
	Region    string
	Outcome   string
	ErrorCode string `json:"sb_error_code"`
	Conflict  bool   `json:"region_conflict"`
	Request   struct{ URI, Proto string }
}

// recorded is a gateway with TLS whose access log and metrics are on.
func startRecorded(t *testing.T, options string) (*gateway, *played, func(target string) []accessLine) {
	t.Helper()
	b := startPlayed(t)
	g := prepareGateway(t)
	log := filepath.Join(g.dir, "access.log")
	c := config{tls: true, options: options, functions: rawFunctions, backends: []backend{{region: regionNames[0], address: b.addr, more: "\t\t\tcapacity 10\n"}}}
	text := c.caddyfile(g.port, g.admin)
	text = strings.Replace(text, "\ttls internal\n", "\ttls internal\n\tlog {\n\t\toutput file "+log+"\n\t\tformat json\n\t}\n", 1)
	text = strings.Replace(text, "{\n", "{\n\tmetrics\n", 1)
	g.url = fmt.Sprintf("https://localhost:%d", g.port)
	g.start(t, text)
	waitUntil(t, "a certificate", func() bool {
		conn, err := tls.Dial("tcp", g.addr, testTLS("http/1.1"))
		return err == nil && conn.Close() == nil
	})
	return g, b, func(target string) (lines []accessLine) {
		data, err := os.ReadFile(log)
		if err != nil {
			return nil
		}
		for line := range strings.Lines(string(data)) {
			var l accessLine
			if json.Unmarshal([]byte(line), &l) == nil && l.Request.URI == target {
				lines = append(lines, l)
			}
		}
		return lines
	}
}

// protocols are clients of each version of HTTP.
func protocols(t *testing.T) map[string]http.RoundTripper {
	t.Helper()
	h1 := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
	h2 := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	h3 := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(func() { h1.CloseIdleConnections(); h2.CloseIdleConnections(); _ = h3.Close() })
	return map[string]http.RoundTripper{"HTTP/1.1": h1, "HTTP/2.0": h2, "HTTP/3.0": h3}
}

// holds plays an answer and keeps the connection until the gateway ends it.
func holds(answer string) play {
	return func(conn net.Conn, _ io.Reader) {
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, conn)
	}
}

const (
	knownHead  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n"
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// Contract 5.31, 6.8, 8.11, 8.17, 8.19, 8.20, 8.23, 8.28: each call ends in one record with its true end, over every protocol, and in Caddy's access log
// and metrics; a client never takes a broken answer for a whole one.
func TestOneRecord(t *testing.T) {
	g, b, lines := startRecorded(t, "\t\tidle_timeout 1s")
	clients := protocols(t)
	for _, tt := range []struct {
		name    string
		play    play
		path    string // of a function that does not exist, instead of the play
		leave   bool   // after the first bytes
		status  int    // as the client and the log have it
		body    string // what the client gets of it
		broken  bool
		outcome string
		warns   string
	}{
		{name: "a whole answer", play: says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), status: 200, body: "hello", outcome: "complete"},
		{name: "a whole stream", play: says(streamHead + "5\r\nhello\r\n0\r\n\r\n"), status: 200, body: "hello", outcome: "complete"},
		{name: "an empty answer", play: says("HTTP/1.1 204 No Content\r\n\r\n"), status: 204, outcome: "complete"},
		{name: "an empty stream", play: says(streamHead + "0\r\n\r\n"), status: 200, outcome: "complete"},
		{name: "a backend that dies in an answer of known length", play: says(knownHead + "hello"), status: 200, body: "hello", broken: true, outcome: "backend_cut", warns: "answer broken off"},
		{name: "a backend that dies in a stream", play: says(streamHead + "5\r\nhello\r\n"), status: 200, body: "hello", broken: true, outcome: "backend_cut", warns: "answer broken off"},
		{name: "a backend that dies after the head", play: says(knownHead), status: 502, outcome: "backend_cut", warns: "invocation not answered"},
		{name: "a backend that dies after the head of a stream", play: says(streamHead), status: 502, outcome: "backend_cut", warns: "invocation not answered"},
		{name: "a backend that dies before the head", play: says("HTTP/1.1 200 OK\r\n"), status: 502, outcome: "backend_cut", warns: "invocation not answered"},
		{name: "a silent backend", play: holds(""), status: 504, outcome: "timed_out", warns: "invocation not answered"},
		{name: "a stream that falls silent", play: holds(streamHead + "5\r\nhello\r\n"), status: 200, body: "hello", broken: true, outcome: "timed_out", warns: "answer broken off"},
		{name: "a client that leaves a stream", play: holds(streamHead + "5\r\nhello\r\n"), leave: true, status: 200, body: "hello", outcome: "client_gone"},
		{name: "a refusal", path: "/functions/v1/locked", status: 401, outcome: "refused"},
		{name: "status 000", play: says("HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"), status: 500, outcome: "refused", warns: "invocation not answered"},
	} {
		for proto, client := range clients {
			t.Run(tt.name+" "+proto, func(t *testing.T) {
				target := tt.path
				if tt.play != nil {
					target = b.add(tt.play)
				}
				target += "?" + proto
				ctx, cancel := context.WithTimeout(t.Context(), askTimeout)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+target, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Origin", "https://a.example")
				began := time.Now()
				res, err := client.RoundTrip(req)
				if err != nil && tt.broken && proto == "HTTP/3.0" {
					// A reset of QUIC overtakes what was sent before it.
					res, err = &http.Response{StatusCode: tt.status, Body: io.NopCloser(iotest.ErrReader(err))}, nil
				}
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				var body []byte
				if tt.leave {
					body = make([]byte, len(tt.body))
					_, err = io.ReadFull(res.Body, body)
					cancel()
				} else {
					body, err = io.ReadAll(res.Body)
				}
				if res.StatusCode != tt.status || (err != nil) != tt.broken || tt.status == 200 && string(body) != tt.body && !(err != nil && proto == "HTTP/3.0") {
					t.Errorf("answered %d %q, %v, want %d %q, broken %v", res.StatusCode, body, err, tt.status, tt.body, tt.broken)
				}
				if tt.status > 204 && (res.Header.Get("Access-Control-Allow-Origin") != "*" || !json.Valid(body) || len(res.Header.Values("Content-Type")) != 1) {
					t.Errorf("contract 4.4 the answer is unreadable: %v %s", res.Header, body)
				}
				took := time.Since(began).Seconds()
				var got []accessLine
				waitUntil(t, "the access log's line", func() bool { got = lines(target); return len(got) > 0 })
				l := got[0]
				if len(got) != 1 || l.Status != tt.status || l.Outcome != tt.outcome || res.Header != nil && l.RequestID != res.Header.Get("Sb-Request-Id") || l.RequestID == "" ||
					l.Duration <= 0 || l.Duration > took+1 || l.Size < len(tt.body) {
					t.Errorf("contract 8.19, 8.20: the access log says %+v, after %.3f s, want %d %s", got, took, tt.status, tt.outcome)
				}
				if res.Header != nil && l.ErrorCode != res.Header.Get("Sb-Error-Code") || (l.ErrorCode != "") != (tt.status >= 400) {
					t.Errorf("contract 8.23: the access log has sb_error_code %q, the answer %q", l.ErrorCode, res.Header.Get("Sb-Error-Code"))
				}
				if tt.play != nil && l.Region != regionNames[0] {
					t.Errorf("contract 8.11: the access log has region %q", l.Region)
				}
				if strings.Contains(tt.name, "silent") && l.Duration < 0.9 {
					t.Errorf("contract 8.19, 8.20: the access log says that it took %.3f s", l.Duration)
				}
				if tt.warns == "answer broken off" {
					waitUntil(t, "the warning", func() bool {
						for line := range strings.Lines(g.output()) {
							if strings.Contains(line, l.RequestID) && strings.Contains(line, tt.warns) {
								return strings.Contains(line, `"outcome":"`+tt.outcome+`"`) && strings.Contains(line, `"bytes_out":5`) && strings.Contains(line, `"status":200`)
							}
						}
						return false
					})
				}
			})
		}
	}
	g.idle(t)
	t.Run("contract 8.20 Caddy's metrics have every call", func(t *testing.T) {
		want := 14 * 3
		waitUntil(t, "the metrics", func() bool { return caddyRequests(t, g) == want })
	})
}

// caddyRequests is how many calls of the site Caddy's own metrics have seen to their end.
func caddyRequests(t *testing.T, g *gateway) int {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	total := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "caddy_http_request_duration_seconds_count{") {
			var n int
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &n); err != nil {
				t.Fatal(err)
			}
			total += n
		}
	}
	return total
}

// Contract 2.2, 8.13: where header and query name different regions the header wins, and the access log says so.
func TestRegionConflictIsLogged(t *testing.T) {
	g, b, lines := startRecorded(t, "")
	client := protocols(t)["HTTP/1.1"]
	for query, conflict := range map[string]bool{
		regionNames[0]:               false,
		"any":                        false,
		regionNames[0] + "%2C%20any": true,
		"mars":                       true,
	} {
		target := b.add(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) + "?forceFunctionRegion=" + query
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Region", regionNames[0])
		res, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || res.Header.Get("X-Sb-Edge-Region") != regionNames[0] {
			t.Errorf("%s was answered %d from %q", query, res.StatusCode, res.Header.Get("X-Sb-Edge-Region"))
		}
		var got []accessLine
		waitUntil(t, "the access log's line", func() bool { got = lines(target); return len(got) > 0 })
		if got[0].Conflict != conflict {
			t.Errorf("%s: region_conflict is %v, want %v", query, got[0].Conflict, conflict)
		}
	}
}

// Contract 8.11, 8.17, 8.19, 8.20: a WebSocket's record says how it ended, and the access log has its 101.
func TestOneRecordOfWebSockets(t *testing.T) {
	g, b, lines := startRecorded(t, "\t\tidle_timeout 2s")
	const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	for _, tt := range []struct {
		name    string
		play    play
		leave   bool
		outcome string
		drained bool
	}{
		{"the backend closes", says(switched + "\x81\x02hi\x88\x00"), false, "complete", false},
		{"the backend breaks in a frame", says(switched + "\x81\x05hi"), false, "backend_cut", false},
		{"the client goes", holds(switched + "\x81\x02hi"), true, "client_gone", false},
		{"silence", holds(switched + "\x81\x02hi"), false, "timed_out", false},
		{"its region is drained", holds(switched + "\x81\x02hi"), false, "reloaded", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := b.add(tt.play)
			conn := dialTLS(t, g.addr, "http/1.1")
			defer conn.Close()
			if _, err := io.WriteString(conn, rawRequest("GET", target, "localhost", "", upgradeHeader)); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			head, err := readHead(r)
			if err != nil || !strings.HasPrefix(head, "HTTP/1.1 101") {
				t.Fatalf("answered %q, %v", head, err)
			}
			frame := make([]byte, 4)
			if _, err := io.ReadFull(r, frame); err != nil || string(frame[2:]) != "hi" {
				t.Errorf("got %q, %v", frame, err)
			}
			if tt.drained {
				res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/drain", g.admin), "application/json",
					strings.NewReader(`{"region":"`+regionNames[0]+`","over":"1ms"}`))
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
			}
			if tt.leave {
				conn.Close()
			} else if _, err := io.Copy(io.Discard, r); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			var got []accessLine
			waitUntil(t, "the access log's line", func() bool { got = lines(target); return len(got) > 0 })
			if len(got) != 1 || got[0].Status != 101 || got[0].Outcome != tt.outcome || got[0].Region != regionNames[0] || got[0].RequestID == "" || got[0].Size == 0 {
				t.Errorf("contract 8.19, 8.20: the access log says %+v, want 101 %s", got, tt.outcome)
			}
		})
	}
	g.idle(t)
}

// Contract 5.31: an answer that breaks off is broken for the client too where the end of the connection would be its end
// (HTTP/1.0), and behind a handler that writes to the answer after ours.
func TestBrokenAnswers(t *testing.T) {
	b := startPlayed(t)
	g := prepareGateway(t)
	c := config{functions: rawFunctions, backends: []backend{{region: regionNames[0], address: b.addr}}}
	g.start(t, strings.Replace(c.caddyfile(g.port, g.admin), "\tedge_functions\n}", "\tencode gzip\n\tedge_functions\n}", 1))
	long := strings.Repeat("hello ", 1000)
	chunk := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(long), long)
	for _, tt := range []struct {
		name, version, answer, header string
	}{
		{"HTTP/1.0, known length", "1.0", knownHead + "hello", ""},
		{"HTTP/1.0, a stream", "1.0", chunk, ""},
		{"compressed", "1.1", chunk, "Accept-Encoding: gzip\r\n"},
		{"compressed, known length", "1.1", strings.Replace(knownHead, "1000", "100000", 1) + long, "Accept-Encoding: gzip\r\n"},
		{"Connection: close", "1.1", chunk, "Connection: close\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, g.addr)
			write(t, conn, "GET "+b.add(says(tt.answer))+" HTTP/"+tt.version+"\r\nHost: any.example\r\n"+tt.header+"\r\n")
			got, err := readReply(conn, "GET")
			if err == nil {
				t.Errorf("the answer passed for whole: %d, %d bytes, %v", got.status, len(got.body), got.header)
			}
			if compressed := got.header.Get("Content-Encoding") == "gzip"; got.status == 200 && compressed != strings.HasPrefix(tt.name, "compressed") {
				t.Errorf("compressed: %v", compressed)
			}
		})
	}
	g.idle(t)
}
