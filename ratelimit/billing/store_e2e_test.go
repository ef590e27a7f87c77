//go:build e2e

package billing

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// A user that may not run INFO: quotas work, and a restart of Redis cannot be noticed. It is said once, without the
// password.
func TestWarnOfInfo(t *testing.T) {
	limited := redistest.Single(t, "appendonly yes", "user gateway on >secret ~* &* +@all -info")
	for url, warnings := range map[string]int{"redis://gateway:secret@" + limited.Address: 1, limited.URL(): 0} {
		config, err := redisconn.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := redisconn.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		var logs bytes.Buffer
		e := NewEngine(t.TempDir())
		e.logger.Store(slog.New(slog.NewJSONHandler(&logs, nil)))
		e.warnOfInfo(t.Context(), &SharedStore{url: config.String(), conn: conn})
		if n := strings.Count(logs.String(), `"level":"WARN"`); n != warnings || warnings > 0 && !strings.Contains(logs.String(), "INFO") {
			t.Errorf("%s: logged %s", config, logs.String())
		}
		if strings.Contains(logs.String(), "secret") {
			t.Errorf("the password is in %s", logs.String())
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
