//go:build e2e && soak

package e2e

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

var churnFor = flag.Duration("churn", time.Hour, "how long TestSoakBackends lets lists of backends change")

// TestSoakBackends has one of 200 backends change every second in each of 14 regions, under load: no call fails, and memory,
// goroutines and descriptors stay as they were after the first minutes.
func TestSoakBackends(t *testing.T) {
	const each, spare = 200, 40
	dns := dnstest.Start(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	// One server has all addresses: 127.REGION.x.y.
	server := &http.Server{Addr: fmt.Sprintf(":%d", port), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})}
	go func() { _ = server.ListenAndServe() }()
	t.Cleanup(func() { _ = server.Close() })
	address := func(region, n int) string { return fmt.Sprintf("127.%d.%d.%d", 101+region, n/250, 1+n%250) }
	list := func(region, round int) {
		all := make([]string, 0, each)
		for n := range each {
			// Each round replaces one, so that an address comes back after a while.
			all = append(all, address(region, (n+round)%(each+spare)))
		}
		dns.SetHost(fmt.Sprintf("r%d.test", region), all...)
	}
	var backends []backend
	for i, name := range fleetRegions {
		list(i, 0)
		backends = append(backends, backend{region: name, more: fmt.Sprintf(
			"\t\t\tbias %dms\n\t\t\tdynamic a r%d.test %d {\n\t\t\t\tresolvers %s\n\t\t\t\trefresh 1s\n\t\t\t}\n", 15*i, i, port, dns.Address)})
	}
	functions := "\t\t\tfunction work {\n\t\t\t\tverify_jwt off\n\t\t\t}\n"
	g := &gatewayOfCluster{startGateway(t, config{backends: backends, functions: functions})}
	l := g.startLoad(t, 4)

	end := time.Now().Add(*churnFor)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	const settle = 5 * time.Minute // every address has been used, and has left
	var running, files, bytes []int
	for round := 1; time.Now().Before(end); round++ {
		<-tick.C
		for i := range fleetRegions {
			list(i, round)
		}
		if round%30 == 0 {
			running = append(running, goroutines(t, g.gateway))
			files = append(files, g.descriptors(t))
			bytes = append(bytes, memory(t, g.cmd.Process.Pid, "VmRSS"))
			t.Logf("after %s: %d goroutines, %d descriptors, %d MiB", time.Duration(round)*time.Second, running[len(running)-1], files[len(files)-1], bytes[len(bytes)-1]>>20)
		}
	}
	l.stop()
	l.none(t, "lists changed")
	t.Logf("%d calls", l.calls)
	skip := int(settle / (30 * time.Second))
	if len(bytes) < 2*skip {
		t.Fatalf("-churn %s is too short to tell whether memory is flat: at least %s", *churnFor, 2*settle)
	}
	for name, values := range map[string][]int{"goroutines": running, "descriptors": files, "memory": bytes} {
		early, late := median(values[skip:2*skip]), median(values[len(values)-skip:])
		if float64(late) > 1.15*float64(early) {
			t.Errorf("%s grew from %d to %d", name, early, late)
		}
	}
}

func median(values []int) int {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
