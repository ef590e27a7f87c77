//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Contract 6.8: the head and the first bytes of an answer go out when no more follows, whatever its framing.
func TestFirstBytes(t *testing.T) {
	g, b := startPlayedGateway(t, config{options: "\t\tidle_timeout 60s"})
	const chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct{ name, sent, rest, head, body string }{
		{"a head of known length", knownHead, "hello", "200 OK", ""},
		{"a byte of known length", knownHead + "h", "ello", "200 OK", "h"},
		{"a head without a length", chunkedHead, "5\r\nhello\r\n", "200 OK", ""},
		{"a byte without a length", chunkedHead + "1\r\nh\r\n", "4\r\nello\r\n", "200 OK", "h"},
		{"a head of events", streamHead, "5\r\nhello\r\n", "200 OK", ""},
		{"a failure of known length", strings.Replace(knownHead, "200 OK", "503 Service Unavailable", 1) + "h", "ello", "503 Service", "h"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan struct{})
			target := b.add(func(conn net.Conn, _ io.Reader) {
				_, _ = io.WriteString(conn, tt.sent)
				<-seen // the rest comes when the client has the beginning
				_, _ = io.WriteString(conn, tt.rest)
				_, _ = io.Copy(io.Discard, conn)
			})
			conn := dial(t, g.addr)
			write(t, conn, getPlay(target))
			r := bufio.NewReader(conn)
			head, err := readHead(r)
			if err != nil || !strings.HasPrefix(head, "HTTP/1.1 "+tt.head) {
				t.Errorf("got the head %q, %v", head, err)
			}
			if known := strings.Contains(tt.sent, "Content-Length"); known != strings.Contains(head, "Content-Length: 1000\r\n") {
				t.Errorf("the framing changed: %q", head)
			}
			body := io.Reader(r)
			if strings.Contains(head, "chunked") {
				body = httpChunks(r)
			}
			for _, want := range []string{tt.body, strings.TrimPrefix("hello", tt.body)} {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(body, got); err != nil || string(got) != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				if want == tt.body {
					close(seen)
				}
			}
		})
	}
	g.idle(t)
}

// httpChunks reads a chunked body as it comes.
func httpChunks(r *bufio.Reader) io.Reader {
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), r)), nil)
	if err != nil {
		return strings.NewReader("")
	}
	return res.Body
}

// Contract 6.8: a small answer that is there at once goes out in one piece, with its length.
func TestSmallAnswersInOnePiece(t *testing.T) {
	g, b := startPlayedGateway(t, config{})
	target := b.add(says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"))
	pieces := 0
	const calls = 20
	for range calls {
		conn := dial(t, g.addr)
		write(t, conn, getPlay(target))
		buf := make([]byte, 64<<10)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(buf[:n]); strings.HasSuffix(text, "\r\n\r\nhello") && strings.Contains(text, "Content-Length: 5\r\n") {
			pieces++
		}
	}
	// On a busy machine the backend's own bytes may come in two.
	if pieces < calls/2 {
		t.Errorf("%d of %d answers came in one piece", pieces, calls)
	}
}

// Contract 6.1: interim answers are signs of life.
func TestInterimAnswersKeepAlive(t *testing.T) {
	g, b := startPlayedGateway(t, config{options: "\t\tidle_timeout 1s"})
	interim := func(answer string) play {
		return func(conn net.Conn, body io.Reader) {
			_, _ = io.Copy(io.Discard, body)
			for range 8 {
				_, _ = io.WriteString(conn, "HTTP/1.1 102 Processing\r\n\r\n")
				<-time.After(300 * time.Millisecond)
			}
			_, _ = io.WriteString(conn, answer)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	for _, tt := range []struct {
		name, answer string
		status       int
	}{
		{"then 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200},
		{"then nothing", "", 504},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, g.addr, getPlay(b.add(interim(tt.answer))))
			if got.status != tt.status {
				t.Errorf("answered %d %s, want %d", got.status, got.body, tt.status)
			}
		})
	}
}

// Contract 5.30: a refusal goes out at once, whatever the request's body does, and what comes of the body after it is no
// request. Where the body ends soon the connection is kept.
func TestRefusalsDoNotWait(t *testing.T) {
	g, b := startRawGateway(t, "")
	for _, tt := range []struct {
		name, method, target string
		status               int
		header               string
	}{
		{"401", "POST", "/functions/v1/locked", 401, ""},
		{"404", "POST", "/functions/v1/a%20b", 404, ""},
		{"404 elsewhere", "PUT", "/elsewhere", 404, ""},
		{"405", "PROPFIND", "/functions/v1/f", 405, ""},
		{"400 of a region", "POST", "/functions/v1/f", 400, "x-region: mars"},
		{"400 of a URL", "POST", "/functions/v1/f/../../x", 400, ""},
		{"204 of a preflight", "OPTIONS", "/functions/v1/f", 204, "Origin: https://a.example\r\nAccess-Control-Request-Method: POST"},
	} {
		for _, framing := range []string{"Content-Length: 300", "Content-Length: 262144", "Content-Length: 262145", "Transfer-Encoding: chunked"} {
			t.Run(tt.name+" "+framing, func(t *testing.T) {
				b.take()
				conn := dial(t, g.addr)
				header := []string{framing}
				if tt.header != "" {
					header = append(header, tt.header)
				}
				// The beginning of a body, and then no more of it until the answer is there.
				first := "GET /functions/v1/f/hidden HTTP/1.1\r\nHost: any.example\r\n\r\n"
				if strings.HasPrefix(framing, "T") {
					first = fmt.Sprintf("%x\r\n%s\r\n", len(first), first)
				}
				write(t, conn, rawRequest(tt.method, tt.target, "any.example", first, header...))
				r := bufio.NewReader(conn)
				head, err := readHead(r)
				if err != nil || !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", tt.status)) {
					t.Fatalf("answered %q, %v, want %d", head, err, tt.status)
				}
				if length := headerValues(head, "Content-Length"); len(length) == 1 {
					n, err := strconv.ParseInt(length[0], 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.CopyN(io.Discard, r, n); err != nil {
						t.Fatalf("the answer's body did not come: %v", err)
					}
				}
				small := framing == "Content-Length: 300"
				if closes := slices.Equal(headerValues(head, "Connection"), []string{"close"}); closes == (small || strings.HasSuffix(framing, "262144")) {
					t.Errorf("the answer's head is %q", head)
				}
				if small {
					write(t, conn, strings.Repeat("x", 300-len(first))+rawRequest("GET", "/functions/v1/f/next", "any.example", ""))
					if got, err := readReplyFrom(r, "GET"); err != nil || got.status != 200 {
						t.Errorf("the next request was answered %d, %v", got.status, err)
					}
				}
				for _, head := range b.take() {
					if strings.HasSuffix(requestTarget(head), "/hidden") {
						t.Error("the body was taken for a request")
					}
				}
			})
		}
	}
	t.Run("the rest of a body that never comes is no request", func(t *testing.T) {
		conn := dial(t, g.addr)
		write(t, conn, rawRequest("POST", "/functions/v1/locked", "any.example", "abc", "Content-Length: 100"))
		r := bufio.NewReader(conn)
		if got, err := readReplyFrom(r, "POST"); err != nil || got.status != 401 {
			t.Fatalf("answered %d, %v", got.status, err)
		}
		// After lingerTime the connection ends.
		if all, err := io.ReadAll(r); err != nil || len(all) > 0 {
			t.Errorf("then came %q, %v", all, err)
		}
	})
	g.idle(t)
}

// Contract 5.30: the same over every protocol: the client has its answer while its body is still to come.
func TestRefusalsDoNotWaitOverTLS(t *testing.T) {
	g, _, lines := startRecorded(t, "")
	for proto, client := range protocols(t) {
		for _, length := range []int64{300, 1 << 20, -1} {
			t.Run(fmt.Sprintf("%s, length %d", proto, length), func(t *testing.T) {
				body, pipe := io.Pipe()
				defer pipe.Close()
				go func() { _, _ = io.WriteString(pipe, "x") }()
				ctx, cancel := context.WithTimeout(t.Context(), askTimeout)
				defer cancel()
				target := fmt.Sprintf("/functions/v1/locked?%s,%d", proto, length)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+target, body)
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = length
				res, err := client.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if said, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusUnauthorized || !json.Valid(said) {
					t.Errorf("answered %d %q, %v", res.StatusCode, said, err)
				}
				_ = pipe.CloseWithError(context.Canceled)
				waitUntil(t, "the access log's line", func() bool {
					got := lines(target)
					return len(got) == 1 && got[0].Status == http.StatusUnauthorized && got[0].Outcome == "refused"
				})
			})
		}
	}
	g.idle(t)
}
