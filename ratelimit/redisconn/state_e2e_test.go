//go:build e2e

package redisconn

import (
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// A server that answers reads and refuses writes is down until it takes a write again, whatever it answers meanwhile.
func TestRefusedWritesAreDown(t *testing.T) {
	for _, tt := range []struct{ code, set, undo string }{
		{"NOREPLICAS", "min-replicas-to-write 3", "min-replicas-to-write 0"},
		{"OOM", "maxmemory 1", "maxmemory 0"},
		{"READONLY", "", ""},
	} {
		t.Run(tt.code, func(t *testing.T) {
			s := redistest.Single(t)
			c := open(t, s.URL())
			script := NewScript(`return redis.call('HSET', KEYS[1], 'a', '1')`)
			write := map[string]func() error{
				"hash":   func() error { return c.HashSet(t.Context(), "{h}", "a", "1") },
				"script": func() error { _, err := c.Run(t.Context(), script, "{h}"); return err },
			}
			for name, write := range write {
				if err := write(); err != nil || c.State().Health != Up {
					t.Fatalf("%s at first: %v, %+v", name, err, c.State())
				}
				refuse(s, tt.code, tt.set)
				err := write()
				if code := ReplyCode(err); code != tt.code {
					t.Errorf("%s: refused with %q: %v", name, code, err)
				}
				if _, err := c.HashAll(t.Context(), "{h}"); err != nil {
					t.Fatal(err)
				}
				if state := c.State(); state.Health != Down || ReplyCode(state.Err) != tt.code {
					t.Errorf("%s: after a read: %+v", name, state)
				}
				refuse(s, tt.code, tt.undo)
				if err := write(); err != nil || c.State().Health != Up {
					t.Errorf("%s afterwards: %v, %+v", name, err, c.State())
				}
			}
		})
	}
}

// refuse has a server refuse writes, or not any more where setting is that of the undoing.
func refuse(s *redistest.Server, code, setting string) {
	if code == "READONLY" {
		role := s.Exec("ROLE").([]any)[0]
		if role == "master" {
			s.Exec("REPLICAOF", "127.0.0.1", "1")
			return
		}
		s.Exec("REPLICAOF", "NO", "ONE")
		return
	}
	var name, value string
	for i, c := range setting {
		if c == ' ' {
			name, value = setting[:i], setting[i+1:]
		}
	}
	s.Exec("CONFIG", "SET", name, value)
}
