package redistest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// MasterName is the name of the master of a SentinelSet.
const MasterName = "edgegate"

// SentinelSet is a master with replicas, watched by three sentinels.
type SentinelSet struct {
	Servers   []*Server // the first was the master at the start
	Sentinels []*Server

	t testing.TB
}

// Sentinel starts a master, replicas of it and three sentinels, and waits until
// all know one another. settings are lines of redis.conf for master and replicas.
// The sentinels take a master for dead after half a second.
func Sentinel(t testing.TB, replicas int, settings ...string) *SentinelSet {
	t.Helper()
	s := &SentinelSet{t: t}
	// a replica gets its copy at once instead of after five seconds
	settings = append([]string{"repl-diskless-sync-delay 0"}, settings...)
	master := Single(t, settings...)
	s.Servers = append(s.Servers, master)
	host, port, _ := net.SplitHostPort(master.Address)
	for range replicas {
		replica := Single(t, append(settings, fmt.Sprintf("replicaof %s %s", host, port))...)
		s.Servers = append(s.Servers, replica)
		eventually(t, "the replica follows", func() error {
			return contains(replica, "master_link_status:up", "INFO", "replication")
		})
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, start(t, "127.0.0.1", nil, []string{"--sentinel"}, []string{
			fmt.Sprintf("sentinel monitor %s %s %s 2", MasterName, host, port),
			"sentinel down-after-milliseconds " + MasterName + " 500",
			"sentinel failover-timeout " + MasterName + " 5000",
		}))
	}
	for _, sentinel := range s.Sentinels {
		want := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=3", master.Address, replicas)
		eventually(t, "the sentinels agree", func() error { return contains(sentinel, want, "INFO", "sentinel") })
	}
	return s
}

// URL returns the URL as in a Caddyfile.
func (s *SentinelSet) URL() string {
	return "redis://" + addresses(s.Sentinels) + "?mode=sentinel&master=" + MasterName
}

// Master returns the server that the sentinels call the master, which may be
// about to change.
func (s *SentinelSet) Master() *Server {
	s.t.Helper()
	master, err := s.master()
	if err != nil {
		s.t.Fatalf("finding the master: %v", err)
	}
	return master
}

func (s *SentinelSet) master() (*Server, error) {
	reply, err := s.Sentinels[0].do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
	if err != nil {
		return nil, err
	}
	pair, ok := reply.([]any)
	if !ok || len(pair) != 2 {
		return nil, fmt.Errorf("the sentinel said %v", reply)
	}
	address := fmt.Sprintf("%s:%s", pair[0], pair[1])
	for _, server := range s.Servers {
		if server.Address == address {
			return server, nil
		}
	}
	return nil, fmt.Errorf("no server at %s", address)
}

// Failover makes a replica the master, and returns it when all sentinels say
// so. The old master stays and becomes a replica, unless it is stopped.
func (s *SentinelSet) Failover() *Server {
	s.t.Helper()
	before := s.Master()
	eventually(s.t, "the sentinel begins a failover", func() error {
		if now, err := s.master(); err == nil && now != before {
			return nil // it noticed by itself
		}
		_, err := s.Sentinels[0].do("SENTINEL", "FAILOVER", MasterName)
		if err != nil && strings.HasPrefix(err.Error(), "INPROG") {
			return nil
		}
		return err
	})
	var after *Server
	eventually(s.t, "the sentinels have a new master", func() (err error) {
		if after, err = s.master(); err != nil {
			return err
		}
		if after == before {
			return errors.New("still the old one")
		}
		for _, sentinel := range s.Sentinels {
			if err := contains(sentinel, "address="+after.Address+",", "INFO", "sentinel"); err != nil {
				return err
			}
		}
		return contains(after, "role:master", "INFO", "replication")
	})
	return after
}

// contains is nil when the answer to a command has want in it.
func contains(s *Server, want string, command ...any) error {
	reply, err := s.do(command...)
	if err != nil {
		return err
	}
	text, ok := reply.(string)
	if !ok || !strings.Contains(text, want) {
		return fmt.Errorf("%s says %v, want in it %q", s.Address, reply, want)
	}
	return nil
}

func addresses(servers []*Server) string {
	list := make([]string, len(servers))
	for i, server := range servers {
		list[i] = server.Address
	}
	return strings.Join(list, ",")
}
