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

// Hard quotas are no longer shared once the store is not Redis any more: whoever goes over, live or at a restart, is told so
// once, and nobody else.
func TestLeavingRedisIsSaid(t *testing.T) {
	const said = "hard quotas are no longer shared"
	server := redistest.Single(t, "appendonly yes")
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	stores := map[string]*redisconn.Config{"redis": &config, "embedded": nil}
	for _, tt := range []struct {
		stores []string // "stop": it starts again with the next
		want   int
	}{
		{[]string{"embedded", "stop", "embedded", "embedded"}, 0},
		{[]string{"redis", "redis", "stop", "redis"}, 0},
		{[]string{"redis", "embedded", "embedded", "stop", "embedded"}, 1},
		{[]string{"redis", "stop", "embedded", "stop", "embedded"}, 1},
		{[]string{"embedded", "redis", "embedded", "redis", "stop", "embedded"}, 2},
	} {
		dir, logs := t.TempDir(), new(logs)
		e := NewEngine(dir)
		for _, store := range append(tt.stores, "stop") {
			if store == "stop" {
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				e = NewEngine(dir)
				continue
			}
			e.Use(&plan{accounts: []Account{account("acme", soft, pays)}})
			if err := e.Start(Settings{Redis: stores[store], Logger: slog.New(slog.NewJSONHandler(logs, nil))}); err != nil {
				t.Fatal(err)
			}
		}
		if n := logs.count(`"level":"WARN"`, said, dir); n != tt.want {
			t.Errorf("%q: said %d times, want %d: %s", tt.stores, n, tt.want, logs.text.String())
		}
	}
}

// A store is young for 15 s after it was begun or emptied, also for gateways that come later: no hour is final then.
func TestYoungStore(t *testing.T) {
	server := redistest.Single(t, "appendonly yes")
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	young := func() bool {
		e := NewEngine(t.TempDir())
		e.Use(&plan{accounts: []Account{account("acme", soft, pays)}})
		if err := e.Start(Settings{Redis: &config, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}()
		return e.Shared().Mirror().Young()
	}
	for range 2 {
		if !young() {
			t.Error("a new store is not young")
		}
	}
	server.Exec("HSET", "gw:meta", "since", strconv.FormatInt(time.Now().Add(-time.Minute).UnixMicro(), 10))
	if young() {
		t.Error("a store of a minute ago is young")
	}
	server.Exec("FLUSHALL")
	if !young() {
		t.Error("a store that was emptied is not young")
	}
	server.Exec("HDEL", "gw:meta", "since")
	if young() {
		t.Error("a store of an older build is young")
	}
}
