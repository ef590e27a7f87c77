//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// hostileAnswer1 is an answer over HTTP/1.1, byte for byte, after which the connection ends.
type hostileAnswer1 struct {
	name string
	raw  string
	want int // the gateway's own status for it; 0: the head is one, and its body breaks
}

const (
	ok1     = "HTTP/1.1 200 OK\r\n"
	chunked = ok1 + "Transfer-Encoding: chunked\r\n"
)

// hostileAnswers1 are those made by hand, and a good answer that is cut at each byte.
func hostileAnswers1() []hostileAnswer1 {
	huge := strings.Repeat("x", 300<<10)
	all := []hostileAnswer1{
		{"nothing", "", 502},
		{"another protocol", "SSH-2.0-OpenSSH_9.6\r\n", 502},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 502},
		{"HTTP/0.9", "<html>", 502},
		{"a request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 502},
		{"TLS", "\x16\x03\x01\x02\x00\x01", 502},
		{"NULs", strings.Repeat("\x00", 1000), 502},
		{"empty lines", "\r\n\r\n\r\n", 502},
		{"a line without an end", "HTTP/1.1 200 " + huge, 502},
		{"no status", "HTTP/1.1\r\n\r\n", 502},
		{"no version", "HTTP 200 OK\r\n\r\n", 502},
		{"a version of words", "HTTP/one.one 200 OK\r\n\r\n", 502},
		{"a status of two digits", "HTTP/1.1 99 Low\r\n\r\n", 502},
		{"a status of four digits", "HTTP/1.1 2000 High\r\n\r\n", 502},
		{"a status of letters", "HTTP/1.1 abc OK\r\n\r\n", 502},
		{"a negative status", "HTTP/1.1 -10 OK\r\n\r\n", 502},
		{"status 000", "HTTP/1.1 000 None\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 500},
		{"status 099", "HTTP/1.1 099 Low\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 500},
		{"status 600", "HTTP/1.1 600 High\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 500},
		{"status 999", "HTTP/1.1 999 High\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 500},
		{"status 101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\n", 500},
		{"status 100 and no more", "HTTP/1.1 100 Continue\r\n\r\n", 502},
		{"status 102 and no more", "HTTP/1.1 102 Processing\r\n\r\n", 502},
		{"status 103 a thousand times", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000), 502},
		{"a length of letters", ok1 + "Content-Length: abc\r\n\r\n", 502},
		{"a negative length", ok1 + "Content-Length: -1\r\n\r\n", 502},
		{"a length with a sign", ok1 + "Content-Length: +1\r\n\r\nx", 502},
		{"a length in hex", ok1 + "Content-Length: 0x1\r\n\r\nx", 502},
		{"a length beyond 64 bits", ok1 + "Content-Length: 18446744073709551616\r\n\r\n", 502},
		{"a length of two numbers", ok1 + "Content-Length: 1 1\r\n\r\nx", 502},
		{"two lengths", ok1 + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502},
		{"two lengths in a line", ok1 + "Content-Length: 1, 2\r\n\r\nab", 502},
		{"a length that is too long", ok1 + "Content-Length: 1000\r\n\r\nshort", 0},
		{"a length of 2^62", ok1 + "Content-Length: 4611686018427387904\r\n\r\nshort", 0},
		{"a length that is too short", ok1 + "Connection: close\r\nContent-Length: 1\r\n\r\nlonger", 0},
		{"an unknown coding", ok1 + "Transfer-Encoding: rot13\r\n\r\n", 502},
		{"two codings", ok1 + "Transfer-Encoding: gzip, chunked\r\n\r\n", 502},
		{"chunked twice", ok1 + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502},
		{"chunked with a control character", ok1 + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 502},
		{"chunks that are none", chunked + "\r\nxyz\r\n", 0},
		{"a chunk that is cut", chunked + "\r\n10\r\nshort", 0},
		{"a chunk of 2^64", chunked + "\r\nffffffffffffffff0\r\n", 0},
		{"a chunk with a long extension", chunked + "\r\n1;" + huge + "\r\nx\r\n0\r\n\r\n", 0},
		{"chunks without an end", chunked + "\r\n1\r\nx\r\n", 0},
		{"chunks of one byte", chunked + "\r\n" + strings.Repeat("1\r\nx\r\n", 1000), 0},
		{"a forbidden trailer", chunked + "Trailer: Content-Length\r\n\r\n0\r\n\r\n", 502},
		{"another forbidden trailer", chunked + "Trailer: Transfer-Encoding\r\n\r\n0\r\n\r\n", 502},
		{"a trailer that is no token", chunked + "Trailer: a b\r\n\r\n0\r\na b: c\r\n\r\n", 0},
		{"a trailer that is cut", chunked + "Trailer: X-A\r\n\r\n0\r\nX-A", 0},
		{"trailers that nobody may set", chunked + "Trailer: Sb-Request-Id\r\n\r\n0\r\nSb-Request-Id: forged\r\n\r\n", 0},
		{"huge trailers", chunked + "Trailer: X-A\r\n\r\n0\r\nX-A: " + huge + "\r\n\r\n", 0},
		{"a line without a colon", ok1 + "no colon\r\n\r\n", 502},
		{"a line that starts blank", ok1 + " folded: first\r\n\r\n", 502},
		{"a blank before the colon", ok1 + "A : b\r\nContent-Length: 0\r\n\r\n", 0},
		{"an empty name", ok1 + ": b\r\n\r\n", 502},
		{"a NUL in a name", ok1 + "a\x00b: c\r\n\r\n", 502},
		{"a NUL in a value", ok1 + "A: b\x00c\r\nContent-Length: 0\r\n\r\n", 0},
		{"a bare CR in a value", ok1 + "A: b\rc\r\nContent-Length: 0\r\n\r\n", 0},
		{"a name with a space", ok1 + "a b: c\r\nContent-Length: 0\r\n\r\n", 0},
		{"a head of 300 KiB", ok1 + "A: " + huge + "\r\n\r\n", 502},
		{"a head of many fields", ok1 + strings.Repeat("A: b\r\n", 60000) + "\r\n", 502},
		{"an encoding that is none", ok1 + "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 0},
		{"a type that is none", ok1 + "Content-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\nok", 0},
		{"forged headers", ok1 + "X-Sb-Edge-Region: mars\r\nSb-Request-Id: forged\r\nContent-Length: 2\r\n\r\nok", 0},
		{"hop-by-hop headers", ok1 + "Connection: X-A, Content-Length\r\nKeep-Alive: x\r\nProxy-Authenticate: y\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok", 0},
	}
	good := ok1 + "Content-Type: text/plain\r\nContent-Length: 5\r\nX-A: b\r\n\r\nwhole"
	for i := 1; i < len(good); i++ {
		want := 502
		if i >= strings.Index(good, "\r\n\r\n")+4 {
			want = 0
		}
		all = append(all, hostileAnswer1{fmt.Sprintf("cut at %d", i), good[:i], want})
	}
	return all
}

// TestHostileAnswers gives each answer over HTTP/1.1 from one function: contract 9.2, 9.3. Each is that call's 502, in
// full, and nobody else notices.
func TestHostileAnswers(t *testing.T) {
	h := startHostileWorld(t)
	h.untouched(t)
	all := hostileAnswers1()
	if len(all) < 60 {
		t.Fatalf("%d answers", len(all))
	}
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			h.answering(func(conn net.Conn) { _, _ = io.WriteString(conn, tt.raw) }, nil)
			h.attack(t, regionHTTP1, tt.want)
		})
	}
	t.Run("mutations", func(t *testing.T) {
		random := rand.New(rand.NewPCG(9, 3))
		good := chunked + "Content-Type: text/plain\r\nTrailer: X-A\r\nX-B: c\r\n\r\n5\r\nwhole\r\n0\r\nX-A: b\r\n\r\n"
		for range hostileMutations {
			raw := mutated(random, good)
			h.answering(func(conn net.Conn) { _, _ = io.WriteString(conn, raw) }, nil)
			if h.attack(t, regionHTTP1, 0); t.Failed() {
				t.Fatalf("after %q", raw)
			}
		}
	})
	// The worst for others at once: what took regions down before.
	for name, answer := range map[string]func(conn net.Conn){
		"a reset":               func(conn net.Conn) { reset(conn) },
		"a reset in mid-head":   func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200"); reset(conn) },
		"the end of connection": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			h.answering(answer, nil)
			h.attack(t, regionHTTP1, 502)
		})
	}
	t.Run("silence", func(t *testing.T) {
		h.answering(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range hostileCalls {
				go func() { _, _ = h.call(firstRef, "evil", regionHTTP1, "POST") }()
			}
			got, err := h.call(firstRef, "evil", regionHTTP1, "POST")
			if err != nil || got.status != 504 || got.code() != "IDLE_TIMEOUT" {
				t.Errorf("contract 6.1 answered %d %s, %v", got.status, got.code(), err)
			}
		}()
		for waiting := true; waiting; {
			h.untouched(t)
			select {
			case <-done:
				waiting = false
			default:
			}
		}
	})
	t.Logf("%d calls of others", h.others)
}

// hostileAnswer2 is an answer over HTTP/2.
type hostileAnswer2 struct {
	name   string
	answer func(a *h2Answer)
	want   int
}

func hostileAnswers2() []hostileAnswer2 {
	big := strings.Repeat("x", 100<<10)
	var many []string
	for range 20 {
		many = append(many, "a", big)
	}
	all := []hostileAnswer2{
		{"no status", func(a *h2Answer) { a.headers(true, "a", "b") }, 502},
		{"a status of letters", func(a *h2Answer) { a.headers(true, ":status", "abc") }, 502},
		{"an empty status", func(a *h2Answer) { a.headers(true, ":status", "") }, 502},
		{"two statuses", func(a *h2Answer) { a.headers(true, ":status", "200", ":status", "404") }, 502},
		{"status 0", func(a *h2Answer) { a.headers(true, ":status", "0") }, 500},
		{"status 99", func(a *h2Answer) { a.headers(true, ":status", "99") }, 500},
		{"status -1", func(a *h2Answer) { a.headers(true, ":status", "-1") }, 500},
		{"status 600", func(a *h2Answer) { a.headers(true, ":status", "600") }, 500},
		{"status 103 and the end", func(a *h2Answer) { a.headers(true, ":status", "103") }, 502},
		{"a request's field", func(a *h2Answer) { a.headers(true, ":status", "200", ":path", "/") }, 502},
		{"an unknown pseudo-field", func(a *h2Answer) { a.headers(true, ":status", "200", ":evil", "x") }, 502},
		{"a pseudo-field behind others", func(a *h2Answer) { a.headers(true, "a", "b", ":status", "200") }, 502},
		{"a name in capitals", func(a *h2Answer) { a.headers(true, ":status", "200", "Upper", "b") }, 502},
		{"a name with a space", func(a *h2Answer) { a.headers(true, ":status", "200", "a b", "c") }, 502},
		{"a value with a line break", func(a *h2Answer) { a.headers(true, ":status", "200", "a", "b\r\nc: d") }, 502},
		{"a value with a NUL", func(a *h2Answer) { a.headers(true, ":status", "200", "a", "b\x00") }, 502},
		{"headers of 300 KiB", func(a *h2Answer) { a.headers(true, ":status", "200", "a", big, "b", big, "c", big) }, 502},
		{"headers of 2 MiB", func(a *h2Answer) { a.headers(true, append([]string{":status", "200"}, many...)...) }, 502},
		{"broken compression", func(a *h2Answer) {
			_ = a.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: []byte("\xff\xff\xff\xff\xff\xff"), EndHeaders: true})
		}, 502},
		{"data before headers", func(a *h2Answer) { _ = a.WriteData(a.stream, true, []byte("x")) }, 502},
		{"a frame that is too large", func(a *h2Answer) { _, _ = a.conn.Write([]byte("\xff\xff\xff\x00\x00\x00\x00\x00\x01")) }, 502},
		{"HTTP/1.1", func(a *h2Answer) { _, _ = io.WriteString(a.conn, ok1+"Content-Length: 0\r\n\r\n") }, 502},
		{"a stream's window of too much", func(a *h2Answer) {
			_ = a.WriteWindowUpdate(a.stream, 1<<31-1)
			_ = a.WriteWindowUpdate(a.stream, 1<<31-1)
		}, 502},
		{"a window of too much", func(a *h2Answer) { _ = a.WriteWindowUpdate(0, 1<<31-1) }, 502},
		{"a push", func(a *h2Answer) {
			_ = a.WritePushPromise(http2.PushPromiseParam{StreamID: a.stream, PromiseID: 2, EndHeaders: true})
		}, 502},
		{"the end of the connection", func(a *h2Answer) { _ = a.conn.Close() }, 502},
		{"GOAWAY and the end", func(a *h2Answer) { _ = a.WriteGoAway(a.stream, http2.ErrCodeEnhanceYourCalm, nil); _ = a.conn.Close() }, 502},
		{"a length that is too long", func(a *h2Answer) {
			a.headers(false, ":status", "200", "content-length", "1000")
			_ = a.WriteData(a.stream, true, []byte("short"))
		}, 0},
		{"a length of letters", func(a *h2Answer) { a.headers(true, ":status", "200", "content-length", "abc") }, 0},
		{"a body that is reset", func(a *h2Answer) {
			a.headers(false, ":status", "200")
			_ = a.WriteData(a.stream, false, []byte("part"))
			_ = a.WriteRSTStream(a.stream, http2.ErrCodeInternal)
		}, 0},
		{"trailers with a status", func(a *h2Answer) {
			a.headers(false, ":status", "200")
			a.headers(true, ":status", "404")
		}, 0},
	}
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		if code != http2.ErrCodeRefusedStream { // which net/http tries again for a minute, and rightly so
			all = append(all, hostileAnswer2{"RST_STREAM " + code.String(), func(a *h2Answer) { _ = a.WriteRSTStream(a.stream, code) }, 502})
		}
	}
	return all
}

// TestHostileHTTP2Answers gives each answer over HTTP/2, with TLS and without: contract 9.2, 9.3.
func TestHostileHTTP2Answers(t *testing.T) {
	h := startHostileWorld(t)
	all := hostileAnswers2()
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			h.answering(nil, tt.answer)
			h.attack(t, regionH2C, tt.want)
			h.attack(t, regionH2, tt.want)
		})
	}
}
