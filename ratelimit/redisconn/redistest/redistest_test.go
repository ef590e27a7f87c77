//go:build e2e

package redistest

import (
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSingle(t *testing.T) {
	s := Single(t, "notify-keyspace-events Kgh")
	s.Exec("HSET", "h", "a", 1)
	if got := s.Exec("HGET", "h", "a"); got != "1" {
		t.Errorf("HGET says %v", got)
	}
	s.Stop()
	s.Stop()
	if conn, err := net.DialTimeout("tcp", s.Address, time.Second); err == nil {
		conn.Close()
		t.Error("a stopped server can be dialed")
	}
	s.Start()
	if got := s.Exec("HGET", "h", "a"); got != nil {
		t.Errorf("after a restart HGET says %v", got)
	}
}

func TestPause(t *testing.T) {
	s := Single(t)
	s.Pause()
	conn, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("PING\r\n"))
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("a paused server answered %d bytes", n)
	}
	s.Resume()
	if got := s.Exec("PING"); got != "PONG" {
		t.Errorf("PING says %v", got)
	}
}

func TestSentinel(t *testing.T) {
	s := Sentinel(t, 1)
	before := s.Master()
	before.Exec("SET", "k", "v")
	before.Exec("WAIT", 1, 5000)
	after := s.Failover()
	if after == before || s.Master() != after {
		t.Errorf("the master was %s, is %s", before.Address, after.Address)
	}
	if got := after.Exec("GET", "k"); got != "v" {
		t.Errorf("GET says %v", got)
	}
}

func TestCluster(t *testing.T) {
	c := Cluster(t, 3)
	const key = "edge:{projects}:projects"
	before := c.Owner(key)
	before.Exec("HSET", key, "a", 1)
	after := c.Migrate(key, nil)
	if after == before || c.Owner(key) != after {
		t.Errorf("the owner was %s, is %s", before.Address, after.Address)
	}
	if got := after.Exec("HGET", key, "a"); got != "1" {
		t.Errorf("HGET says %v", got)
	}
}

// A server has the time that it is told, also when it is set while it runs; one without the library would be found out.
func TestClocked(t *testing.T) {
	s := Clocked(t, -10*time.Minute)
	for _, ahead := range []time.Duration{10 * time.Minute, 0, -time.Minute} {
		s.SetClock(ahead)
	}
	if err := Single(t).checkClock(elsewhere); err == nil {
		t.Error("a server with the machine's time is taken for one of another time")
	}
}
