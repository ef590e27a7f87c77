package gateway

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// eventually bounds everything a test waits for.
const eventually = 10 * time.Second

// logged is the log of the configurations whose log goes to keptLog.
var logged lines

// lines is a log in memory. It is safe for concurrent use.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// forget removes all lines.
func (l *lines) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

// having returns the lines that have all words in them.
func (l *lines) having(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		has := true
		for _, word := range words {
			has = has && strings.Contains(line, word)
		}
		if has {
			found = append(found, line)
		}
	}
	return found
}

// expect waits for a line that has all words in it.
func (l *lines) expect(t *testing.T, words ...string) {
	t.Helper()
	within(t, func() string {
		if len(l.having(words...)) > 0 {
			return ""
		}
		return "not in the log: " + strings.Join(words, " ... ")
	})
}

// keptLog is a log writer of Caddy's that writes to logged.
type keptLog struct{}

func init() { caddy.RegisterModule(new(keptLog)) }

func (*keptLog) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.kept", New: func() caddy.Module { return new(keptLog) }}
}

func (*keptLog) String() string                      { return "kept" }
func (*keptLog) WriterKey() string                   { return "kept" }
func (*keptLog) OpenWriter() (io.WriteCloser, error) { return keptLog{}, nil }
func (keptLog) Write(p []byte) (int, error)          { return logged.Write(p) }
func (keptLog) Close() error                         { return nil }

// UnmarshalCaddyfile reads `output kept`.
func (*keptLog) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
