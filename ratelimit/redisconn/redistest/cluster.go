package redistest

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

const slots = 16384

// ClusterSet is a cluster of masters without replicas.
type ClusterSet struct {
	Nodes []*Server

	t   testing.TB
	ids []string // the nodes' names in the cluster
}

// Cluster starts that many masters, at least three, shares the slots out evenly
// and waits until every node says that the cluster works. settings are lines of
// redis.conf for all.
func Cluster(t testing.TB, nodes int, settings ...string) *ClusterSet {
	t.Helper()
	if nodes < 3 {
		t.Fatalf("a cluster of %d nodes has no majority", nodes)
	}
	c := &ClusterSet{t: t}
	settings = append([]string{"cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000"}, settings...)
	for i := range nodes {
		node := Single(t, settings...)
		node.Exec("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		node.Exec("CLUSTER", "ADDSLOTSRANGE", i*slots/nodes, (i+1)*slots/nodes-1)
		c.Nodes = append(c.Nodes, node)
		c.ids = append(c.ids, node.Exec("CLUSTER", "MYID").(string))
	}
	for _, node := range c.Nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Address)
		c.Nodes[0].Exec("CLUSTER", "MEET", host, port)
	}
	for _, node := range c.Nodes {
		eventually(t, "the cluster works", func() error {
			if err := contains(node, fmt.Sprintf("cluster_known_nodes:%d\r\n", nodes), "CLUSTER", "INFO"); err != nil {
				return err
			}
			return contains(node, "cluster_state:ok", "CLUSTER", "INFO")
		})
	}
	return c
}

// AddReplica starts a replica of the owner of key, which takes over when that
// dies, and returns it when it has a copy.
func (c *ClusterSet) AddReplica(key string, settings ...string) *Server {
	c.t.Helper()
	owner := c.owner(key)
	replica := Single(c.t, append([]string{
		"cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000", "repl-diskless-sync-delay 0",
	}, settings...)...)
	host, port, _ := net.SplitHostPort(c.Nodes[owner].Address)
	replica.Exec("CLUSTER", "MEET", host, port)
	eventually(c.t, "the replica knows its master", func() error {
		_, err := replica.do("CLUSTER", "REPLICATE", c.ids[owner])
		return err
	})
	eventually(c.t, "the replica follows", func() error {
		return contains(replica, "master_link_status:up", "INFO", "replication")
	})
	for _, node := range c.Nodes {
		eventually(c.t, "all know the replica", func() error {
			return contains(node, fmt.Sprintf("cluster_known_nodes:%d\r\n", len(c.Nodes)+1), "CLUSTER", "INFO")
		})
	}
	return replica
}

// URL returns the URL as in a Caddyfile.
func (c *ClusterSet) URL() string { return "redis://" + addresses(c.Nodes) + "?mode=cluster" }

// Owner returns the node that has key's slot.
func (c *ClusterSet) Owner(key string) *Server {
	c.t.Helper()
	return c.Nodes[c.owner(key)]
}

func (c *ClusterSet) owner(key string) int {
	c.t.Helper()
	for i, node := range c.Nodes {
		// anything but MOVED comes from the owner
		if _, err := node.do("EXISTS", key); err == nil || !strings.HasPrefix(err.Error(), "MOVED") {
			return i
		}
	}
	c.t.Fatalf("no node has the slot of %s", key)
	return 0
}

// Migrate moves key's slot with all that is in it to another node, as an
// operator does with reshard, and returns that node. between is called when the
// keys have moved and the slot has not; it may be nil.
func (c *ClusterSet) Migrate(key string, between func(to *Server)) *Server {
	c.t.Helper()
	from := c.owner(key)
	to := (from + 1) % len(c.Nodes)
	slot := c.Nodes[from].Exec("CLUSTER", "KEYSLOT", key)
	c.Nodes[to].Exec("CLUSTER", "SETSLOT", slot, "IMPORTING", c.ids[from])
	c.Nodes[from].Exec("CLUSTER", "SETSLOT", slot, "MIGRATING", c.ids[to])
	host, port, _ := net.SplitHostPort(c.Nodes[to].Address)
	for {
		keys, _ := c.Nodes[from].Exec("CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
		if len(keys) == 0 {
			break
		}
		c.Nodes[from].Exec(append([]any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}, keys...)...)
	}
	if between != nil {
		between(c.Nodes[to])
	}
	// the new owner first: a slot must never be nobody's
	c.Nodes[to].Exec("CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
	for i, node := range c.Nodes {
		if i != to {
			node.Exec("CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
		}
	}
	return c.Nodes[to]
}
