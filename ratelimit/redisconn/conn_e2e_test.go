//go:build e2e

package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// All ways to reach Redis read alike, small and large hashes, one that is not
// there, and the connections have a name.
func TestHash(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) (url string, owner *redistest.Server)
	}{
		{"single", func(t *testing.T) (string, *redistest.Server) {
			s := redistest.Single(t)
			return s.URL(), s
		}},
		{"single with a password", func(t *testing.T) (string, *redistest.Server) {
			s := redistest.Single(t, `user ann on >top/secret ~* &* +@all`)
			return strings.Replace(s.URL(), "//", "//ann:top%2Fsecret@", 1), s
		}},
		{"sentinel", func(t *testing.T) (string, *redistest.Server) {
			s := redistest.Sentinel(t, 1)
			return s.URL(), s.Master()
		}},
		{"cluster", func(t *testing.T) (string, *redistest.Server) {
			c := redistest.Cluster(t, 3)
			return c.URL(), c.Owner("{h}")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, owner := tt.start(t)
			c := open(t, url)
			if state := c.State(); state.Health != Unknown {
				t.Errorf("state %+v before any call", state)
			}
			value := strings.Repeat("v", 12<<10)
			for i := range 1000 {
				owner.Exec("HSET", "{h}large", fmt.Sprint(i), value)
			}
			owner.Exec("HSET", "{h}small", "a", "1", "b", "", "c", "é\x00")

			large, err := c.HashAll(t.Context(), "{h}large")
			if err != nil || len(large) != 1000 || large["999"] != value {
				t.Errorf("large: %d fields, %v", len(large), err)
			}
			small, err := c.HashAll(t.Context(), "{h}small")
			if want := map[string]string{"a": "1", "b": "", "c": "é\x00"}; err != nil || fmt.Sprint(small) != fmt.Sprint(want) {
				t.Errorf("small: %q, %v", small, err)
			}
			if none, err := c.HashAll(t.Context(), "{h}none"); err != nil || len(none) != 0 {
				t.Errorf("none: %q, %v", none, err)
			}
			if some, err := c.HashGet(t.Context(), "{h}small", "a", "x", "b"); err != nil || fmt.Sprint(some) != "map[a:1 b:]" {
				t.Errorf("some: %q, %v", some, err)
			}
			if some, err := c.HashGet(t.Context(), "{h}small"); err != nil || len(some) != 0 {
				t.Errorf("no fields: %q, %v", some, err)
			}
			if state := c.State(); state.Health != Up || state.Err != nil {
				t.Errorf("state %+v", state)
			}
			if list := owner.Exec("CLIENT", "LIST").(string); !strings.Contains(list, "name="+ClientName+" ") {
				t.Errorf("no connection is called %s:\n%s", ClientName, list)
			}
			owner.Exec("SET", "{h}text", "x")
			if _, err := c.HashAll(t.Context(), "{h}text"); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
				t.Errorf("no hash: %v", err)
			}
			if state := c.State(); state.Health != Up {
				t.Errorf("state %+v after an error that is about the key", state)
			}
		})
	}
}

// A hash that is written all the time is read in steps all the same, with all
// that was there throughout.
func TestHashWhileWritten(t *testing.T) {
	s := redistest.Single(t)
	c := open(t, s.URL())
	for i := range 2000 {
		s.Exec("HSET", "h", fmt.Sprintf("kept%d", i), strings.Repeat("v", 1000))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			s.Exec("HSET", "h", fmt.Sprintf("new%d", i), "v")
			s.Exec("HDEL", "h", fmt.Sprintf("new%d", i-10))
		}
	}()
	for range 5 {
		fields, err := c.HashAll(t.Context(), "h")
		if err != nil && !errors.Is(err, errChanging) {
			t.Error(err)
		}
		for i := range 2000 {
			if _, ok := fields[fmt.Sprintf("kept%d", i)]; !ok && err == nil {
				t.Fatalf("kept%d is missing of %d fields", i, len(fields))
			}
		}
	}
	cancel()
	<-done
}

// A server that doesn't answer costs no more than the timeouts, or what the
// context allows.
func TestAway(t *testing.T) {
	s := redistest.Single(t)
	c := open(t, s.URL())
	if _, err := c.HashAll(t.Context(), "h"); err != nil {
		t.Fatal(err)
	}
	since := c.State().Since

	s.Pause()
	start := time.Now()
	if _, err := c.HashAll(t.Context(), "h"); err == nil {
		t.Error("a paused server answered")
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("gave up after %v", d)
	}
	if state := c.State(); state.Health != Down || state.Err == nil || !state.Since.After(since) {
		t.Errorf("state %+v", state)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start = time.Now()
	if _, err := c.HashGet(ctx, "h", "f"); err == nil {
		t.Error("a paused server answered")
	}
	if d := time.Since(start); d > 200*time.Millisecond {
		t.Errorf("a deadline of 20 ms ended the call after %v", d)
	}
	s.Resume()
	within(t, 5*time.Second, "up again", func() bool {
		_, err := c.HashAll(t.Context(), "h")
		return err == nil && c.State().Health == Up
	})

	s.Stop()
	if _, err := c.HashAll(t.Context(), "h"); err == nil || c.State().Health != Down {
		t.Errorf("a stopped server: %v, state %+v", err, c.State())
	}
	s.Start()
	if _, err := c.HashAll(t.Context(), "h"); err != nil || c.State().Health != Up {
		t.Errorf("a started server: %v, state %+v", err, c.State())
	}
	c.Close()
	if _, err := c.HashAll(t.Context(), "h"); err == nil || c.State().Health != Up {
		t.Errorf("a closed Conn: %v, state %+v", err, c.State())
	}
}

// No password of ours is in an error about a wrong one.
func TestWrongPassword(t *testing.T) {
	s := redistest.Single(t, "requirepass right")
	for url, want := range map[string]string{
		s.URL(): "NOAUTH",
		strings.Replace(s.URL(), "//", "//:topsecret@", 1):     "WRONGPASS",
		strings.Replace(s.URL(), "//", "//ann:topsecret@", 1):  "WRONGPASS",
		strings.Replace(s.URL(), "//", "//default:right@", 1):  "",
		strings.Replace(s.URL(), "//", "//:right@", 1) + "/15": "",
	} {
		_, err := open(t, url).HashAll(t.Context(), "h")
		if want == "" && err == nil {
			continue
		}
		if want == "" || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v, want %q in it", url, err, want)
		}
	}
}

// rediss:// asks for a certificate that is for the host and from somebody known.
func TestTLS(t *testing.T) {
	s, url, roots := redistest.TLS(t)
	s.Exec("HSET", "h", "a", "1")
	for _, tt := range []struct {
		name, url, want string
		known           bool
	}{
		{"by address", url, "", true},
		{"by name", strings.Replace(url, "127.0.0.1", "localhost", 1), "", true},
		{"signed by nobody known", url, "certificate signed by unknown authority", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config, err := Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			config.DialTimeout, config.ReadTimeout = time.Minute, time.Minute // on a busy machine a handshake takes its time
			if tt.known {
				config.RootCAs = roots
			}
			c, err := Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fields, err := c.HashAll(t.Context(), "h")
			switch {
			case tt.want == "" && (err != nil || fields["a"] != "1"):
				t.Errorf("got %v, %v", fields, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want in it %q", err, tt.want)
			}
		})
	}
}
