package regions

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// serveTLS starts a backend with a certificate that only trust accepts.
func serveTLS(t *testing.T, http2 bool, h http.Handler) (address string, trust *tls.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, server.Client().Transport.(*http.Transport).TLSClientConfig
}

// A handshake that fails sent nothing of the request: the next region gets it,
// whole, and the backend counts as one that accepts no connection.
func TestUntrustedCertificate(t *testing.T) {
	eachBody(t, func(t *testing.T, body []byte, length int64) {
		untrusted, other := &recorder{}, &recorder{}
		address, _ := serveTLS(t, false, untrusted)
		w := newWorld(t, region(t, first, address), region(t, second, serve(t, other)))
		x, ctx := w.begin(t, w.nearest(first, second), Limits{})
		_, err := w.exchange(post(ctx, body, length))
		check(t, x, err, nil, second, ReasonFailover, 2)
		checkOnce(t, other, body)
		if n := len(untrusted.got()); n != 0 {
			t.Errorf("the untrusted backend got %d requests", n)
		}
		if n := failures(w.upstream(first)); n != 1 {
			t.Errorf("the untrusted backend is blamed %d times", n)
		}
	})
}

// What listens but speaks no TLS is as good as dead.
func TestNoTLS(t *testing.T) {
	address, _ := serveRaw(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail.example.com ESMTP\r\n") })
	w := newWorld(t, region(t, first, "https"+address[len("http"):]))
	x, _, err := w.get(t, w.plan(ReasonExplicit, true, first))
	check(t, x, err, ErrUnavailable, first, ReasonExplicit, 1)
	if n := failures(w.upstream(first)); n != 1 {
		t.Errorf("the backend is blamed %d times", n)
	}
}

// Over TLS both versions of HTTP deliver a body once and are blamed alike for
// a broken exchange.
func TestTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			r := &recorder{}
			var broken atomic.Int32
			address, trust := serveTLS(t, http2, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if (req.ProtoMajor == 2) != http2 {
					t.Errorf("HTTP/%d", req.ProtoMajor)
				}
				if req.Method == http.MethodPut {
					broken.Add(1)
					panic(http.ErrAbortHandler)
				}
				r.ServeHTTP(w, req)
			}))
			other := &recorder{}
			w := newWorld(t, region(t, first, address), region(t, second, serve(t, other)))
			w.upstream(first).Secure(trust.Clone())
			for i, size := range bodies {
				for _, length := range []int64{int64(size), -1} {
					x, ctx := w.begin(t, w.nearest(first, second), Limits{})
					_, err := w.exchange(post(ctx, pattern(size), length))
					check(t, x, err, nil, first, ReasonNearest, 1)
					last := r.got()[len(r.got())-1]
					if len(last.body) != size || last.err != nil {
						t.Errorf("%d: %d bytes, %v; want %d", i, len(last.body), last.err, size)
					}
				}
			}
			if n := len(r.got()); n != 2*len(bodies) {
				t.Errorf("%d requests, want %d", n, 2*len(bodies))
			}
			x, ctx := w.begin(t, w.nearest(first, second), Limits{})
			req := post(ctx, pattern(10), 10)
			req.Method = http.MethodPut
			_, err := w.exchange(req)
			check(t, x, err, ErrBackend, first, ReasonNearest, 1)
			if broken.Load() != 1 || len(other.got()) != 0 {
				t.Errorf("%d broken requests, %d at the other backend", broken.Load(), len(other.got()))
			}
		})
	}
}
