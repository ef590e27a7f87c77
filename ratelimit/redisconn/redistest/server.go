package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// patience bounds all waits. It is long: only tests that fail come to its end.
const patience = 30 * time.Second

// Server is one redis-server process. It is safe for concurrent use.
type Server struct {
	// Address is 127.0.0.1 with the port, which a restart keeps; for others see
	// Isolate.
	Address string

	t   testing.TB
	dir string
	place
	args  []string
	clock string // the file with its time, if it has a clock of its own

	mu      sync.Mutex // guards the process and the client
	process *exec.Cmd
	ended   chan struct{}
	client  *redis.Client
}

// Single starts a server. settings are lines of redis.conf, such as
// "notify-keyspace-events Kgh"; it keeps nothing over a restart.
func Single(t testing.TB, settings ...string) *Server {
	t.Helper()
	return start(t, "127.0.0.1", nil, nil, settings)
}

// URL returns the URL as in a Caddyfile.
func (s *Server) URL() string { return "redis://" + s.Address }

// place is where a server runs.
type place struct {
	host        string
	in          []string // a command that runs it, such as ip netns exec; empty for none
	environment []string // besides that of the test
}

// start is startIn with the test's environment.
func start(t testing.TB, host string, in, args, settings []string) *Server {
	t.Helper()
	return startIn(t, place{host: host, in: in}, args, settings)
}

// startIn runs a server on a free port with settings in a file: sentinels write
// into theirs.
func startIn(t testing.TB, p place, args, settings []string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatalf("redis-server is missing: run .ci/install.sh (make test does), or install the Debian package redis-server (%v)", err)
	}
	var last error
	for range 5 { // somebody may be faster at the port
		port := freePort(t)
		s := &Server{
			t:       t,
			place:   p,
			Address: net.JoinHostPort(p.host, strconv.Itoa(port)),
			dir:     t.TempDir(),
		}
		conf := filepath.Join(s.dir, "redis.conf")
		lines := append([]string{
			"bind " + p.host, "port " + strconv.Itoa(port), "dir " + s.dir, "logfile " + filepath.Join(s.dir, "log"), "daemonize no",
		}, settings...)
		if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatalf("writing %s: %v", conf, err)
		}
		s.args = append([]string{conf}, args...)
		t.Cleanup(s.Stop)
		if last = s.run(); last == nil {
			return s
		}
		s.Stop()
	}
	t.Fatalf("starting redis-server: %v", last)
	return nil
}

// Start starts a stopped server again on its port, empty, and waits until it
// answers.
func (s *Server) Start() {
	s.t.Helper()
	// a connection that just ended may hold the port for a moment
	eventually(s.t, "redis-server starts again", func() error {
		err := s.run()
		if err != nil {
			s.Stop()
		}
		return err
	})
}

func (s *Server) run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return errors.New("it runs already")
	}
	command := slices.Concat(s.in, []string{"redis-server"}, s.args)
	cmd := exec.Command(command[0], command[1:]...) // #nosec G204 -- the test's own arguments
	cmd.Env = append(os.Environ(), s.environment...)
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.process, s.ended, s.client = cmd, ended, newClient(s.Address)
	deadline := time.Now().Add(patience)
	for {
		err := s.client.Ping(context.Background()).Err()
		if err == nil || strings.HasPrefix(err.Error(), "NOAUTH") || strings.HasPrefix(err.Error(), "WRONGPASS") {
			return nil
		}
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("redis-server ended: %s", log)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Stop kills the server as a crash would. One that is stopped stays so.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.ended
	_ = s.client.Close()
	s.process, s.client = nil, nil
}

// Dir returns the directory of the server's files.
func (s *Server) Dir() string { return s.dir }

// Exec runs a command and returns the answer: a string, an int64, or a list of
// them; nil for none. An error fails the test.
func (s *Server) Exec(args ...any) any {
	s.t.Helper()
	value, err := s.do(args...)
	if err != nil {
		s.t.Fatalf("%v at %s: %v", args, s.Address, err)
	}
	return value
}

// do is Exec with an error; an absent value is none.
func (s *Server) do(args ...any) (any, error) {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client == nil {
		return nil, errors.New("the server is stopped")
	}
	value, err := client.Do(context.Background(), args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return value, err
}

func newClient(address string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                     address,
		Protocol:                 2,
		DisableIdentity:          true,
		PipelinePoolSize:         -1,
		PoolSize:                 2,
		DialTimeout:              time.Second,
		DialerRetries:            1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// freePort finds a port that is free and whose cluster bus port (10000 above) is
// too, both below those that the system gives to outgoing connections.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 11000 + rand.IntN(11000) // #nosec G404 -- a port is no secret
		if free(port) && free(port+10000) {
			return port
		}
	}
	t.Fatal("no free port found")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// eventually waits until try has no error; the last one fails the test.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: %v", what, err)
		}
		<-tick.C
	}
}
