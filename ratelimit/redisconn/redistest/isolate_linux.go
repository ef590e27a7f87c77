package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// IsolatedServer is a server in a network of its own.
type IsolatedServer struct {
	*Server
	links []string // the names of the links on this side
	ways  []string // the server's address on each link
}

// Isolate starts a server in a network namespace with so many links to it, each of which
// can be cut by itself. It needs root, and ip of iproute2.
func Isolate(t testing.TB, links int, settings ...string) *IsolatedServer {
	t.Helper()
	name := fmt.Sprintf("eg%d", os.Getpid())
	run := func(command ...string) {
		t.Helper()
		// #nosec G204 -- the test's own arguments
		if out, err := exec.Command("ip", command...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s (network namespaces need root)", strings.Join(command, " "), err, out)
		}
	}
	run("netns", "add", name)
	t.Cleanup(func() { run("netns", "delete", name) })
	s := new(IsolatedServer)
	hosts := make([]string, links+1) // the last link is for Exec
	for i := range hosts {
		here, there := fmt.Sprintf("%sh%d", name, i), fmt.Sprintf("%sn%d", name, i)
		hosts[i] = fmt.Sprintf("10.213.%d.2", i)
		run("link", "add", here, "type", "veth", "peer", "name", there)
		run("link", "set", there, "netns", name)
		run("address", "add", fmt.Sprintf("10.213.%d.1/30", i), "dev", here)
		run("link", "set", here, "up")
		run("-n", name, "address", "add", hosts[i]+"/30", "dev", there)
		run("-n", name, "link", "set", there, "up")
		s.links = append(s.links, here)
	}
	settings = append([]string{"bind 0.0.0.0", "protected-mode no"}, settings...)
	s.Server = start(t, hosts[links], []string{"ip", "netns", "exec", name}, nil, settings)
	_, port, _ := net.SplitHostPort(s.Address)
	for _, host := range hosts[:links] {
		s.ways = append(s.ways, net.JoinHostPort(host, port))
	}
	return s
}

// URLs returns the URL of the server by each link.
func (s *IsolatedServer) URLs() (urls []string) {
	for _, way := range s.ways {
		urls = append(urls, "redis://"+way)
	}
	return urls
}

// Link cuts a link, or mends it. While it is cut, packets are lost silently.
func (s *IsolatedServer) Link(i int, up bool) {
	s.t.Helper()
	to := "down"
	if up {
		to = "up"
	}
	// #nosec G204 -- the test's own arguments
	if out, err := exec.Command("ip", "link", "set", s.links[i], to).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %s: %v: %s", s.links[i], to, err, out)
	}
}
