package regions

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// h2c starts a backend that speaks HTTP/2 without TLS and nothing else.
func h2c(t *testing.T, listener net.Listener, h http.Handler) {
	t.Helper()
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

// Backends over h2c are backends like any other, over TCP and sockets.
func TestH2C(t *testing.T) {
	path := socketPath(t)
	for name, network := range map[string][2]string{"tcp": {"tcp", "127.0.0.1:0"}, "unix": {"unix", path}} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen(network[0], network[1])
			if err != nil {
				t.Fatal(err)
			}
			r, versions := &recorder{}, make(chan int, 100)
			h2c(t, listener, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				versions <- req.ProtoMajor
				r.ServeHTTP(w, req)
			}))
			address := "h2c://" + listener.Addr().String()
			if name == "unix" {
				address = "unix+h2c/" + path
			}
			w := newWorld(t, region(t, first, address))
			x, ctx := w.begin(t, w.nearest(first), Limits{})
			_, err = w.exchange(post(ctx, pattern(5000), 5000))
			check(t, x, err, nil, first, ReasonNearest, 1)
			checkOnce(t, r, pattern(5000))
			if version := <-versions; version != 2 {
				t.Errorf("HTTP/%d", version)
			}
		})
	}
}

// An HTTP/1 server is no h2c backend: it gets the preface of HTTP/2, and its
// answer is no HTTP/2. That is this call's failure, told apart on a connection of
// its own, and is tried nowhere else (contract 9.3). Probes take the region out.
func TestH2CToHTTP1(t *testing.T) {
	one, other := &recorder{}, &recorder{}
	w := newWorld(t, region(t, first, "h2c"+serve(t, one)[len("http"):]), region(t, second, serve(t, other)))
	x, _, err := w.get(t, w.nearest(first, second))
	check(t, x, err, ErrNotHTTP, first, ReasonNearest, 2)
	for _, got := range one.got() {
		if got.method != "PRI" {
			t.Errorf("the first was sent %s %s", got.method, got.uri)
		}
	}
	if len(other.got()) != 0 {
		t.Error("it was tried in another region")
	}
	for range checksDown {
		w.upstream(first).probeOnce(t.Context(), w.set[first], 0)
	}
	if state := w.state(first); state != StateDown {
		t.Errorf("after three probes it is %s", state)
	}
}

// signer signs certificates for a test.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	a := &signer{t: t, pool: x509.NewCertPool()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate for a name, or for a client.
func (a *signer) issue(name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// https backends of an authority of one's own, which ask for a certificate.
func TestOwnAuthority(t *testing.T) {
	own, foreign := newSigner(t), newSigner(t)
	r := &recorder{}
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{own.issue("runtime.internal")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: own.pool,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	for _, tc := range []struct {
		name   string
		config *tls.Config
		ok     bool
	}{
		{"the system's authorities", nil, false},
		{"another authority", &tls.Config{RootCAs: foreign.pool, ServerName: "runtime.internal"}, false},
		{"another name", &tls.Config{RootCAs: own.pool, ServerName: "other.internal", Certificates: []tls.Certificate{own.issue("gateway")}}, false},
		{"no certificate", &tls.Config{RootCAs: own.pool, ServerName: "runtime.internal"}, false},
		{"a foreign certificate", &tls.Config{
			RootCAs: own.pool, ServerName: "runtime.internal", Certificates: []tls.Certificate{foreign.issue("gateway")},
		}, false},
		{"all is right", &tls.Config{RootCAs: own.pool, ServerName: "runtime.internal", Certificates: []tls.Certificate{own.issue("gateway")}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, region(t, first, server.URL))
			w.upstream(first).Secure(tc.config)
			before := len(r.got())
			_, _, err := w.get(t, w.plan(ReasonExplicit, true, first))
			if (err == nil) != tc.ok {
				t.Errorf("err = %v", err)
			}
			if got := len(r.got()) - before; got != 0 && !tc.ok {
				t.Error("the backend was sent the request")
			}
			if !tc.ok && failures(w.upstream(first)) == 0 {
				t.Error("the backend is not blamed")
			}
			w.upstream(first).Close()
		})
	}
}

// Settings that change apply to the connections that come.
func TestSecureAgain(t *testing.T) {
	own := newSigner(t)
	server := httptest.NewUnstartedServer(&recorder{})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own.issue("runtime.internal")}}
	server.StartTLS()
	t.Cleanup(server.Close)
	w := newWorld(t, region(t, first, server.URL))
	u := w.upstream(first)
	for _, tc := range []struct {
		config *tls.Config
		ok     bool
	}{
		{nil, false},
		{&tls.Config{RootCAs: own.pool, ServerName: "runtime.internal"}, true},
		{&tls.Config{RootCAs: own.pool, ServerName: "other.internal"}, false},
	} {
		u.Secure(tc.config)
		if _, _, err := w.get(t, w.plan(ReasonExplicit, true, first)); (err == nil) != tc.ok {
			t.Errorf("with %+v: %v", tc.config, err)
		}
	}
}
