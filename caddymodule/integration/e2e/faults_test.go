//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/faultproxy"
	"github.com/edgegate/edgegate/regions/geo"
)

// fleetRegions are the regions of the fault tests, nearest first as seen from eu-central-1. Their round trips are those
// of the built-in table, a tenth of them, so that the tests don't take ten times as long.
var fleetRegions = []string{
	"eu-central-1", "eu-west-3", "eu-west-2", "eu-west-1", "us-east-1", "ca-central-1", "ap-south-1", "us-west-2",
	"us-west-1", "ap-southeast-1", "sa-east-1", "ap-northeast-1", "ap-northeast-2", "ap-southeast-2",
}

// fleet is a gateway in front of all regions, each a process behind a way of its own.
type fleet struct {
	*gateway
	config config
	ways   map[string]*faultproxy.Proxy
}

// asRegion makes the test binary a region: a server of its three functions at the address that it says.
const asRegion = "EDGEGATE_E2E_REGION"

// serveRegion answers with the region, the method and the hash of the body; /fail has the status that it is asked for, /work
// takes its time.
func serveRegion(address string) {
	err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/fail"):
			status, _ := strconv.Atoi(r.URL.Query().Get("status"))
			w.WriteHeader(status)
		case strings.HasPrefix(r.URL.Path, "/work"):
			time.Sleep(20 * time.Millisecond)
		}
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("X-Sb-Edge-Region"), r.Method, hex.EncodeToString(sum.Sum(nil)))
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startRegionProcess runs a region as a process until the test ends and returns its address.
func startRegionProcess(t *testing.T, name string) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	region, err := startProcess(name, []string{asRegion + "=" + address}, self)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { region.stop(syscall.SIGKILL, time.Second) })
	if err := waitForPort(region, port); err != nil {
		t.Fatal(err)
	}
	return address
}

// startFleet starts it with further global options, and further lines for each region.
func startFleet(t *testing.T, options string, more ...string) *fleet {
	t.Helper()
	f := &fleet{ways: make(map[string]*faultproxy.Proxy)}
	home, _ := geo.PlaceOf(fleetRegions[0])
	var backends []backend
	for i, name := range fleetRegions {
		address := startRegionProcess(t, name)
		place, _ := geo.PlaceOf(name)
		roundTrip, ok := geo.Prior(home, place)
		if !ok {
			t.Fatalf("%s is not in the table", name)
		}
		f.ways[name] = faultproxy.New(t, address, roundTrip/10)
		// On a busy machine chance would make another one the nearest.
		bias := fmt.Sprintf("\t\t\tbias %dms\n", 15*i)
		backends = append(backends, backend{name, f.ways[name].Address, bias + strings.Join(more, "")})
	}
	f.config = config{backends: backends, options: options}
	for _, name := range []string{"hello", "fail", "work"} {
		f.config.functions += "\t\t\tfunction " + name + " {\n\t\t\t\tverify_jwt off\n\t\t\t}\n"
	}
	f.gateway = startGateway(t, f.config)
	eventually(t, "measured", func() bool { return !strings.Contains(f.ask(t, "regions"), `"base_ms":null`) })
	f.awaitNearest(t)
	return f
}

// awaitNearest waits until the first region is the nearest also by what was measured.
func (f *fleet) awaitNearest(t *testing.T) {
	t.Helper()
	eventually(t, "nearest", func() bool { return strings.Contains(f.ask(t, "explain"), `"chosen":"`+fleetRegions[0]+`"`) })
}

// ask returns what the admin API says.
func (f *fleet) ask(t *testing.T, what string) string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/%s", f.admin, what))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// callers is how many calls are under way at most.
const callers = 10

// outcomes counts how calls ended: status, region and reason.
type outcomes struct {
	mu    sync.Mutex
	seen  map[string]int
	wrong []string
}

// run sends calls for a while, about 500 a second, every other one a POST with a body, and checks that bodies arrive
// whole.
func (f *fleet) run(t *testing.T, d time.Duration, path, region string) *outcomes {
	t.Helper()
	o := &outcomes{seen: make(map[string]int)}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: 20 * time.Second}
	var running sync.WaitGroup
	var number atomic.Int64
	for range callers {
		running.Go(func() {
			tick := time.NewTicker(callers * time.Second / 500)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					f.send(client, o, int(number.Add(1)), path, region)
				}
			}
		})
	}
	running.Wait()
	client.CloseIdleConnections()
	return o
}

func (f *fleet) send(client *http.Client, o *outcomes, n int, path, region string) {
	method, body := http.MethodGet, []byte(nil)
	if n%2 == 0 {
		method, body = http.MethodPost, bytes.Repeat([]byte{byte(n)}, n%5000)
	}
	note := func(key, wrong string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.seen[key]++
		if wrong != "" {
			o.wrong = append(o.wrong, wrong)
		}
	}
	req, err := http.NewRequest(method, f.url+"/functions/v1/"+path, bytes.NewReader(body))
	if err != nil {
		note("", err.Error())
		return
	}
	if region != "" {
		req.Header.Set("X-Region", region)
	}
	res, err := client.Do(req)
	if err != nil {
		note("no answer", "")
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	key := fmt.Sprintf("%d %s %s", res.StatusCode, res.Header.Get("X-Sb-Edge-Region"), res.Header.Get("X-Sb-Region-Reason"))
	sum := sha256.Sum256(body)
	want := fmt.Sprintf("%s %s %s", res.Header.Get("X-Sb-Edge-Region"), method, hex.EncodeToString(sum[:]))
	if res.StatusCode == http.StatusOK && (err != nil || string(text) != want) {
		note(key, fmt.Sprintf("got %q, %v, want %q", text, err, want))
		return
	}
	note(key, "")
}

func (o *outcomes) check(t *testing.T, allowed ...string) {
	t.Helper()
	for key, n := range o.seen {
		if !slices.Contains(allowed, key) {
			t.Errorf("%d calls ended in %q, allowed is %q", n, key, allowed)
		}
	}
	for i, wrong := range o.wrong {
		if i == 5 {
			break
		}
		t.Error(wrong)
	}
	t.Log(o.seen)
}

// TestOutage takes the nearest region away under load and brings it back: contract 2.5, 2.6. No call that names no region fails,
// but for POSTs that a backend had already got when its connections broke: nobody knows whether they ran, so they are not
// sent again (contract 7.2). Calls that name the region are 503 and run nowhere else.
func TestOutage(t *testing.T) {
	f := startFleet(t, "")
	near, next := fleetRegions[0], fleetRegions[1]
	f.run(t, time.Second, "hello", "").check(t, "200 "+near+" nearest")

	time.AfterFunc(500*time.Millisecond, func() { f.ways[near].Become(faultproxy.Refuse) })
	down := f.run(t, 21*time.Second, "hello", "") // 10,000 calls
	down.check(t, "200 "+near+" nearest", "200 "+next+" failover", "502 "+near+" nearest")
	if n := down.seen["502 "+near+" nearest"]; n > callers {
		t.Errorf("%d calls failed, at most %d were under way", n, callers)
	}
	if down.seen["200 "+next+" failover"] == 0 {
		t.Error("nothing ran in the next region")
	}
	f.run(t, time.Second, "hello", near).check(t, "503 "+near+" explicit")
	if got := f.ask(t, "explain"); !strings.Contains(got, `"chosen":"`+next+`"`) {
		t.Errorf("explain says %s", got)
	}

	f.ways[near].Become(faultproxy.Open)
	eventually(t, "back", func() bool { state := f.stateOf(t, near); return state == "up" || state == "degraded" })
	back := f.run(t, 4*time.Second, "hello", "")
	back.check(t, "200 "+near+" nearest", "200 "+next+" failover")
	if part := float64(back.seen["200 "+near+" nearest"]) / float64(back.seen["200 "+next+" failover"]+1); part == 0 || part > 1 {
		t.Errorf("at once after its return it gets %v of what the next one gets", part)
	}
}

func (f *fleet) stateOf(t *testing.T, region string) string {
	t.Helper()
	_, after, _ := strings.Cut(f.ask(t, "regions"), `"region":"`+region+`","state":"`)
	state, _, _ := strings.Cut(after, `"`)
	return state
}

// TestBlackHole swallows what goes to the nearest region, or what comes from it only: the probes notice within eight seconds, and then nobody is
// sent there.
func TestBlackHole(t *testing.T) {
	f := startFleet(t, "\t\tidle_timeout 15s")
	near, next := fleetRegions[0], fleetRegions[1]
	for name, mode := range map[string]faultproxy.Mode{"everything": faultproxy.Swallow, "answers": faultproxy.SwallowAnswers} {
		f.ways[near].Become(mode)
		began := time.Now()
		eventually(t, "down", func() bool { return f.stateOf(t, near) == "down" })
		t.Logf("%s lost: down after %v", name, time.Since(began).Round(10*time.Millisecond))
		f.run(t, 2*time.Second, "hello", "").check(t, "200 "+next+" failover")
		f.run(t, time.Second, "hello", near).check(t, "503 "+near+" explicit")
		f.ways[near].Become(faultproxy.Open)
		eventually(t, "back", func() bool { return f.stateOf(t, near) != "down" })
	}
}

// TestFailingFunction: a function that fails for every call takes no region out.
func TestFailingFunction(t *testing.T) {
	f := startFleet(t, "")
	near := fleetRegions[0]
	for _, status := range []string{"500", "503", "504", "546"} {
		f.run(t, time.Second, "fail?status="+status, "").check(t, status+" "+near+" nearest")
	}
	f.run(t, time.Second, "hello", "").check(t, "200 "+near+" nearest")
	if state := f.stateOf(t, near); state == "down" {
		t.Errorf("the region is %s", state)
	}
}
