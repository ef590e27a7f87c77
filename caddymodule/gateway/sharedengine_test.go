package gateway

import (
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// silentListener accepts connections and says nothing, not even in a TLS handshake, until it is closed.
type silentListener struct {
	net.Listener
	mu    sync.Mutex // guards conns
	conns []net.Conn
}

func listenSilently(t *testing.T) *silentListener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &silentListener{Listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.conns = append(l.conns, conn)
			l.mu.Unlock()
		}
	}()
	t.Cleanup(l.hangUp)
	return l
}

// hangUp closes the listener and all connections.
func (l *silentListener) hangUp() {
	_ = l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

// sums returns the invocations of all months that a ledger has.
func sums(t *testing.T, ledger *metering.Ledger) (all metering.Sums) {
	t.Helper()
	usages, err := ledger.Usage()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range usages {
		if u.Span == metering.Monthly {
			all.Invocations += u.Invocations
			all.Voided += u.Voided
			all.Completed += u.Completed
		}
	}
	return all
}

// Contract 7.1: a call that was never sent does not count, also after a reload to another directory: the earlier ledger
// stays open until its last call has ended.
func TestReloadToAnotherDirectory(t *testing.T) {
	silent := listenSilently(t)
	dir, other := filepath.Join(t.TempDir(), "ledger"), filepath.Join(t.TempDir(), "ledger")
	options := "\nregion eu-west-1 {\nbackend https://" + silent.Addr().String() + "\n}\n" + public("hello", "stream")
	s := serve(t, "store embedded "+dir+options, "", functions)
	engine := runningApp(t).engine
	answers := make(chan received, 1)
	go func() { answers <- s.call(t, http.MethodPost, "/functions/v1/hello", "", "X-Region", "eu-west-1") }()
	within(t, func() string {
		if sums(t, engine.Ledger()).Invocations == 0 {
			return "the call has no record"
		}
		return ""
	})

	for i, next := range []string{other, dir, other} {
		began := time.Now()
		serve(t, "store embedded "+next+options, "", functions)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("reload %d took %v", i, took)
		}
		if same := runningApp(t).engine == engine; same != (next == dir) {
			t.Errorf("reload %d: the engine is the same: %t", i, same)
		}
		if references(engineKey{dir}) == 0 || !engine.Busy() {
			t.Fatalf("reload %d closed the ledger under a call", i)
		}
	}
	silent.hangUp()
	if got := <-answers; got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the call: %d %s", got.StatusCode, got.body)
	}
	engines.finishing.Wait()
	if n := references(engineKey{dir}); n != 0 {
		t.Errorf("%d hold the engine after its last call", n)
	}
	again := billing.NewEngine(dir)
	if err := again.Start(billing.Settings{}); err != nil {
		t.Fatal(err)
	}
	if got := sums(t, again.Ledger()); got.Invocations != 0 || got.Voided != 1 {
		t.Errorf("the ledger has %+v, want one call that was given back", got)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if got := sums(t, runningApp(t).engine.Ledger()); got.Invocations != 0 {
		t.Errorf("the new ledger has %+v", got)
	}
}

// When the process exits, calls that do not end keep no ledger open.
func TestExitClosesEngines(t *testing.T) {
	dir := t.TempDir()
	s := new(sharedState)
	engine := engines.hold(s, dir)
	if err := engine.Start(billing.Settings{}); err != nil {
		t.Fatal(err)
	}
	request := engine.Receive()
	if err := request.Take(t.Context(), "acme", &quota.Allowance{Quota: -1}); err != nil {
		t.Fatal(err)
	}
	if err := request.Send(&billing.Dispatch{Subject: metering.Subject{Organization: "acme", Project: "p"}, Region: "eu"}); err != nil {
		t.Fatal(err)
	}
	mustRelease(t, s)
	if n := references(engineKey{dir}); n != 1 {
		t.Fatalf("%d hold the engine, want 1 for its call", n)
	}
	engines.closeAll()
	if n := references(engineKey{dir}); n != 0 {
		t.Errorf("%d hold the engine", n)
	}
	if err := request.Finish(metering.Ending{}); err == nil {
		t.Error("the ledger is open")
	}
}
