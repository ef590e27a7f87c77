//go:build e2e

package billing

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

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

// Contract 7.9: gateways that share a Redis change terms with the minute, and with the hour while one of them is of a build that
// knows whole hours only. Two gateways bill by the same terms, whatever their configurations say.
func TestTermsInRedis(t *testing.T) {
	for _, old := range []bool{false, true} {
		server := redistest.Single(t, "appendonly yes")
		if old {
			server.Exec("HSET", "gw:instances", "0123456789ab", strconv.FormatInt(time.Now().Unix(), 10))
		}
		config, err := redisconn.Parse(server.URL())
		if err != nil {
			t.Fatal(err)
		}
		var gateways []*fixture
		for range 2 {
			f := newFixture(t, account("acme", soft, capped))
			if err := f.Start(Settings{Redis: &config, Logger: slog.New(slog.NewJSONHandler(f.logs, nil))}); err != nil {
				t.Fatal(err)
			}
			gateways = append(gateways, f)
		}
		for _, f := range gateways {
			if err := f.syncTerms(t.Context(), f.open); err != nil {
				t.Fatal(err)
			}
		}
		before := gateways[0].open.ledger.Now()
		gateways[0].change(func(p *plan) { p.accounts = []Account{account("acme", soft, pays)} })
		for _, f := range gateways {
			if err := f.syncTerms(t.Context(), f.open); err != nil {
				t.Fatal(err)
			}
			terms := f.open.terms.All()["acme"]
			if len(terms) != 2 || terms[0].Price != capped || terms[1].Price != pays {
				t.Fatalf("%+v", terms)
			}
			unit := time.Minute
			if old {
				unit = time.Hour
			}
			from := terms[1].From
			if !from.Equal(from.Truncate(unit)) || from.Before(before.Add(time.Minute)) || from.After(before.Add(2*time.Minute+unit)) {
				t.Errorf("old %v: at %s the change is in force from %s", old, before, from)
			}
		}
	}
}
