package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// server is a Redis as it answers.
type server struct {
	settings map[string]string
	silent   bool // INFO is refused
	replicas int
	ahead    time.Duration
	err      error
}

func (s *server) Settings(context.Context, ...string) (map[string]string, error) {
	return s.settings, s.err
}
func (s *server) TellsRestarts(context.Context) (bool, error) { return !s.silent, s.err }
func (s *server) Replicas(context.Context) (int, error)       { return s.replicas, s.err }
func (s *server) ClockOffset(context.Context) (ahead, within time.Duration, err error) {
	return s.ahead, 0, s.err
}

func TestStore(t *testing.T) {
	now := time.Now()
	good := map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes"}
	for name, tc := range map[string]struct {
		server     server
		peers      map[string]metering.Presence
		conditions []logs.Condition
		held       map[string]int64
		want       string // the check and its severity
	}{
		"good":            {server: server{settings: good, replicas: 1, ahead: 500 * time.Millisecond}},
		"no answer":       {server: server{err: errors.New("away")}, want: "store_away medium"},
		"refuses writes":  {server: server{settings: good, replicas: 1}, conditions: []logs.Condition{{Name: "redis://store", State: "down"}}, want: "store_away medium"},
		"throws away":     {server: server{settings: map[string]string{"maxmemory-policy": "allkeys-lru"}, replicas: 1}, want: "store_eviction high"},
		"not on disk":     {server: server{settings: map[string]string{"appendonly": "no"}, replicas: 1}, want: "store_appendonly medium"},
		"alone":           {server: server{settings: good}, want: "store_replicas low"},
		"refuses INFO":    {server: server{settings: good, replicas: 1, silent: true}, want: "store_info medium"},
		"clock apart":     {server: server{settings: good, replicas: 1, ahead: -2 * time.Second}, want: "clock_offset medium"},
		"clock far apart": {server: server{settings: good, replicas: 1, ahead: time.Minute}, want: "clock_offset high"},
		"a silent gateway": {
			server: server{settings: good, replicas: 1},
			peers: map[string]metering.Presence{
				"there":  {At: now.Add(-time.Minute), Silent: time.Minute},
				"silent": {At: now.Add(-2 * time.Hour), Silent: 2 * time.Hour},
				"left":   {At: now.Add(-2 * time.Hour), Left: true},
				"lost":   {At: now.Add(-2 * time.Hour), Lost: true},
			},
			want: "gateway_silent medium",
		},
		"a copied gateway": {
			server: server{settings: good, replicas: 1},
			peers:  map[string]metering.Presence{"copied": {At: now.Add(-5 * time.Minute), Silent: 5 * time.Minute}},
			want:   "gateway_copied medium",
		},
		"a copied gateway that is there": {
			server: server{settings: good, replicas: 1},
			peers:  map[string]metering.Presence{"copied": {At: now, Silent: time.Second}},
		},
		"a copied gateway that left": {
			server: server{settings: good, replicas: 1},
			peers:  map[string]metering.Presence{"copied": {Left: true}},
		},
		"a copied gateway that left and holds units": {
			server: server{settings: good, replicas: 1},
			peers:  map[string]metering.Presence{"copied": {Left: true}},
			held:   map[string]int64{"copied": 5},
			want:   "gateway_copied medium",
		},
		"a copied gateway that was given up": {
			server: server{settings: good, replicas: 1},
			peers:  map[string]metering.Presence{"copied": {Silent: 2 * time.Hour, Lost: true}},
		},
	} {
		store := &Store{
			URL:        "redis://store",
			Server:     &tc.server,
			Conditions: func() []logs.Condition { return tc.conditions },
			Copied:     []string{"copied"},
			Held:       func(context.Context) map[string]int64 { return tc.held },
			Peers:      func(context.Context) (map[string]metering.Presence, error) { return tc.peers, tc.server.err },
		}
		var checks []string
		for check, severity := range bySeverity(t, ofStore(t.Context(), store)) {
			checks = append(checks, check+" "+string(severity))
		}
		slices.Sort(checks)
		if got := strings.Join(checks, ", "); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if got := ofStore(t.Context(), nil); len(got) != 0 {
		t.Errorf("without Redis: %v", got)
	}
}
