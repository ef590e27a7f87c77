package billing

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// scripted has the engine share a store that answers what a test says.
func (f *fixture) scripted(answer func(command []string) any) *SharedStore {
	f.t.Helper()
	server := redistest.Scripted(f.t, answer)
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		f.t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			f.t.Error(err)
		}
	})
	f.share(&SharedStore{url: "redis://test", conn: conn, peers: new(mirror), joiner: usage.NewJoiner(f.open.lines, conn, "redis://test")})
	return f.open.shared.Load()
}

// Redis must tell of its restarts, or lost grants are not noticed.
func TestWarnOfHiddenRestarts(t *testing.T) {
	for name, tt := range map[string]struct {
		answer   any
		warnings int
	}{
		"refuses INFO": {errors.New("NOPERM User gateway has no permissions to run the 'info' command"), 1},
		"tells all":    {"run_id:0123456789abcdef\r\nmaster_replid:0123456789abcdef\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := f.scripted(func([]string) any { return tt.answer })
			f.warnOfInfo(t.Context(), s)
			if n := f.logs.count(`"level":"WARN"`, "Redis refuses INFO", NoRestarts, `"store":"redis://test"`); n != tt.warnings {
				t.Errorf("logged: %s", f.logs.text.String())
			}
		})
	}
}

// Of the gateways that share a store one tells an exporter, under its former name too.
func TestExportsOfOneGateway(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	var leader atomic.Pointer[string]
	us, other := f.Ledger().Instance(), "other"
	var led []string
	f.scripted(func(command []string) any {
		switch command[0] {
		case "EVALSHA":
			if strings.Contains(strings.Join(command, " "), "gw:exporters") {
				led = append(led, command[4])
				return *leader.Load()
			}
			return int64(1)
		case "HLEN":
			return int64(0)
		case "HSCAN":
			return []any{"0", []any{}}
		case "HMGET":
			return make([]any, len(command)-2)
		}
		return int64(1)
	})
	f.final(2)
	s := &service{sink: sink{name: "new", former: "old"}}
	leader.Store(&other)
	if state := f.export(s); !state.standby() || state.failing() || len(s.got) != 0 {
		t.Errorf("while another sends: %+v, got %+v", state, s.got)
	}
	leader.Store(&us)
	if state := f.export(s); state.failing() || state.standby() || len(s.got) != 1 {
		t.Errorf("when we send: %+v, got %+v", state, s.got)
	}
	if got := strings.Join(led, " "); !strings.HasPrefix(got, "old old old new") {
		t.Errorf("asked for the turn as %s", got)
	}
	if state := f.export(s); state.result.Sent != 0 {
		t.Errorf("it was told twice: %+v", state)
	}
}
