//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/integration/testclock"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// shifted is the binary whose clock can be set, built by the first test that needs it.
var shifted = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(shared.dir, "shifted")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	return testclock.Build(filepath.Join("..", "..", ".."), dir)
})

// chronicle is a backend that knows when it was called.
type chronicle struct {
	*httptest.Server
	mu    sync.Mutex // guards calls
	calls []time.Time
}

func startChronicle(t *testing.T) *chronicle {
	c := new(chronicle)
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_internal") {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls = append(c.calls, time.Now())
	}))
	t.Cleanup(c.Close)
	return c
}

// all returns when it was called, in order.
func (c *chronicle) all() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.calls)
}

// worlds are three gateways that share a Redis, and whose clocks are 20 minutes apart. That of Redis is another one.
type worlds struct {
	*chronicle
	redis      *redistest.Server
	redisAhead time.Duration
	gateways   [3]*gateway
	clocks     [3]*testclock.Clock
	config     config
	served     atomic.Int64
	refused    atomic.Int64

	// Where Redis may be slow for so long that nothing can be granted, 503 is an answer.
	redisMayFail bool
	unavailable  atomic.Int64
}

// startWorlds starts them, at the start or the end of a billing period: by their own clocks they would be in different ones.
// The boundary is a time by the clock of Redis.
func startWorlds(t *testing.T, redisAhead time.Duration, boundary time.Time, project string) *worlds {
	t.Helper()
	file, err := shifted()
	if err != nil {
		t.Fatal(err)
	}
	w := &worlds{
		chronicle:  startChronicle(t),
		redis:      redistest.Clocked(t, redisAhead),
		redisAhead: redisAhead,
	}
	w.config = config{
		backends: []backend{backendOf("eu-central-1", w.Server)}, functions: public("ok"), options: "\t\tstore redis " + w.redis.URL(),
		project: "\t\t\torganization acme\n\t\t\tcycle_start " + boundary.Format(time.RFC3339) + "\n" + project,
	}
	for i, ahead := range []time.Duration{-10 * time.Minute, 0, 10 * time.Minute} {
		w.clocks[i] = testclock.New(t, ahead)
		g := prepareGateway(t)
		g.file, g.environment = file, []string{w.clocks[i].Environment()}
		g.start(t, w.config.caddyfile(g.port, g.admin))
		w.gateways[i] = g
	}
	w.clocksAreTold(t)
	return w
}

// clocksAreTold checks that each gateway knows that its clock is wrong, and by how much: otherwise nothing is tested here.
func (w *worlds) clocksAreTold(t *testing.T) {
	t.Helper()
	for i, g := range w.gateways {
		waitUntil(t, fmt.Sprintf("gateway %d knows that its clock is ahead by %v", i, w.clocks[i].Ahead()), func() bool {
			offset, err := strconv.ParseFloat(metricOf(t, g, "edgegate_store_clock_offset_seconds"), 64)
			return err == nil && math.Abs(offset+(w.clocks[i].Ahead()-w.redisAhead).Seconds()) < 1
		})
	}
}

// setRedis sets the clock of Redis.
func (w *worlds) setRedis(ahead time.Duration) {
	w.redis.SetClock(ahead)
	w.redisAhead = ahead
}

// set sets all clocks of gateways.
func (w *worlds) set(ahead ...time.Duration) {
	for i, d := range ahead {
		w.clocks[i].Set(d)
	}
}

// restart ends a gateway by a signal and starts it again.
func (w *worlds) restart(t *testing.T, i int, sig syscall.Signal) {
	t.Helper()
	g := w.gateways[i]
	g.stop(sig, 10*time.Second)
	g.start(t, w.config.caddyfile(g.port, g.admin))
}

// call calls a gateway once, and returns the status; 0 if it does not answer.
func (w *worlds) call(t *testing.T, i int) int {
	res, err := http.Get(w.gateways[i].url + "/functions/v1/ok")
	if err != nil {
		return 0
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	switch {
	case res.StatusCode == http.StatusOK:
		w.served.Add(1)
	case res.StatusCode == http.StatusPaymentRequired:
		w.refused.Add(1)
	case w.redisMayFail && bytes.Contains(body, []byte("METERING_UNAVAILABLE")):
		w.unavailable.Add(1)
	default:
		t.Errorf("gateway %d answered %d %s", i, res.StatusCode, body)
	}
	return res.StatusCode
}

// callAll makes so many calls to each gateway, ten at a time.
func (w *worlds) callAll(t *testing.T, calls int) {
	t.Helper()
	var running sync.WaitGroup
	for i := range w.gateways {
		for range 10 {
			running.Go(func() {
				for range calls / 10 {
					if w.call(t, i) == 0 {
						t.Errorf("gateway %d does not answer", i)
						return
					}
				}
			})
		}
	}
	running.Wait()
}

// keepCalling calls all gateways from so many clients each until ctx ends. said hears each answer.
func (w *worlds) keepCalling(ctx context.Context, t *testing.T, clients int, said func(i, status int)) *sync.WaitGroup {
	running := new(sync.WaitGroup)
	for i := range w.gateways {
		for range clients {
			running.Go(func() {
				for ctx.Err() == nil {
					status := w.call(t, i)
					said(i, status)
					<-time.After(20 * time.Millisecond)
				}
			})
		}
	}
	return running
}

// use is what `usage show` says of the one organization.
type use struct {
	ID          string
	Invocations int64
	Period      struct {
		ID         string
		Start, End time.Time
	}
}

// shows is what a gateway says of a month; of the billing period in force if it is empty. The error says that Redis did not
// answer it in time.
func shows(t *testing.T, g *gateway, month string) ([]use, error) {
	t.Helper()
	args := []string{"usage", "show", "-o", "json", "--address", fmt.Sprintf("127.0.0.1:%d", g.admin)}
	if month != "" {
		args = append(args, "--period", month)
	}
	out, err := exec.CommandContext(t.Context(), shared.binary, args...).Output()
	if err != nil {
		return nil, err
	}
	var said struct{ Organizations []use }
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatal(err)
	}
	return said.Organizations, nil
}

// agree waits until all gateways say the same of a month, and that it is at least so many invocations in all, and so many at
// most.
func (w *worlds) agree(t *testing.T, month string, least, most int64) []use {
	t.Helper()
	var said [3][]use
	defer func() {
		if t.Failed() {
			t.Logf("the gateways show %v", said)
		}
	}()
	waitUntil(t, fmt.Sprintf("all gateways show %d to %d invocations", least, most), func() bool {
		for i, g := range w.gateways {
			var err error
			if said[i], err = shows(t, g, month); err != nil {
				return false
			}
			sum := int64(0)
			for _, u := range said[i] {
				sum += u.Invocations
			}
			if sum < least || sum > most {
				return false
			}
		}
		return reflect.DeepEqual(said[0], said[1]) && reflect.DeepEqual(said[0], said[2])
	})
	return said[0]
}

// onePeriod checks that all was used in one billing period, the one that begins or ends at the boundary, as they said.
func (w *worlds) onePeriod(t *testing.T, said []use, boundary time.Time) {
	t.Helper()
	if len(said) != 1 || said[0].ID != "acme" {
		t.Fatalf("the gateways show %v", said)
	}
	now := time.Now().Add(w.redisAhead)
	if p := said[0].Period; !p.End.Equal(boundary) && !p.Start.Equal(boundary) || p.Start.After(now) || p.End.Before(now) {
		t.Errorf("all is counted in %v, with a boundary at %v", p, boundary)
	}
}

// Contract 7.3, 7.5: a hard quota is exact over gateways whose clocks are 20 minutes apart, set while they run and while
// they are restarted; by their clocks they are in two billing periods, by that of Redis in one, also while that is set back.
func TestQuotaAtThreeTimes(t *testing.T) {
	t.Parallel()
	const limit, redisAhead = 300, 10 * time.Minute
	boundary := time.Now().Add(redisAhead + 6*time.Minute).UTC().Truncate(time.Second)
	w := startWorlds(t, redisAhead, boundary, fmt.Sprintf("\t\t\tquota %d", limit))
	w.callAll(t, 40)
	w.set(7*time.Minute, -4*time.Minute, -10*time.Minute)
	w.callAll(t, 20)
	for i, sig := range []syscall.Signal{syscall.SIGKILL, 0, syscall.SIGTERM} {
		if sig != 0 {
			w.restart(t, i, sig)
		}
	}
	var again sync.WaitGroup
	again.Go(func() { w.callAll(t, 240) })
	w.setRedis(-10 * time.Minute)
	w.set(-9*time.Minute, 10*time.Minute, 3*time.Minute)
	again.Wait()
	// What lies unused with one gateway comes back within two seconds; all can be used.
	waitUntil(t, "all is used", func() bool { w.callAll(t, 10); return w.served.Load() >= limit })
	w.set(10*time.Minute, -10*time.Minute, 0)
	refused := w.refused.Load()
	w.callAll(t, 30)
	w.clocksAreTold(t)
	w.callAll(t, 30)
	if served, made := w.served.Load(), len(w.all()); served != limit || made != limit || w.refused.Load()-refused != 180 {
		t.Errorf("%d were served, %d were made, the limit is %d; afterwards %d of 180 were refused", served, made, limit, w.refused.Load()-refused)
	}
	w.onePeriod(t, w.agree(t, "", limit, limit), boundary)
	t.Logf("%d were served, %d refused", w.served.Load(), w.refused.Load())
}

// Contract 7.5: a grace lasts as long as configured, give or take a second, at gateways of all times, also at one that is
// restarted and when clocks are set meanwhile.
func TestGraceAtThreeTimes(t *testing.T) {
	const limit, clients, grace, tolerance, redisAhead = 300, 2, 4 * time.Second, time.Second, -10 * time.Minute
	boundary := time.Now().Add(redisAhead - 5*time.Minute).UTC().Truncate(time.Second)
	w := startWorlds(t, redisAhead, boundary, fmt.Sprintf("\t\t\tquota %d\n\t\t\tgrace %v", limit, grace))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var firsts [3]atomic.Int64 // Unix nanoseconds of each gateway's first 402 since the limit was reached
	running := w.keepCalling(ctx, t, clients, func(i, status int) {
		if status == http.StatusPaymentRequired {
			firsts[i].CompareAndSwap(0, time.Now().UnixNano())
		}
	})
	waitUntil(t, "the limit is reached", func() bool { return len(w.all()) >= limit })
	at := w.all()[limit-1]
	w.restart(t, 2, syscall.SIGKILL)
	w.set(10*time.Minute, -10*time.Minute, -8*time.Minute)
	waitUntil(t, "all gateways refuse", func() bool {
		for i := range firsts {
			if firsts[i].Load() == 0 {
				return false
			}
		}
		return true
	})
	w.set(-10*time.Minute, 10*time.Minute, 0)
	w.restart(t, 0, syscall.SIGTERM)
	refused := w.refused.Load()
	waitUntil(t, "calls after all that", func() bool { return w.refused.Load() > refused+200 })
	stop()
	running.Wait()
	made := w.all()
	t.Logf("the last call was %v after the one that reached the limit", made[len(made)-1].Sub(at))
	if last := made[len(made)-1].Sub(at); last > grace+tolerance || last < grace-tolerance {
		t.Errorf("the last call was %v after the one that reached the limit, the grace is %v", last, grace)
	}
	for i := range firsts {
		first := time.Unix(0, firsts[i].Load()).Sub(at)
		t.Logf("gateway %d refused after %v", i, first)
		if i != 2 && first > grace+tolerance || first < grace-tolerance {
			t.Errorf("gateway %d refused the first call %v after the limit was reached, the grace is %v", i, first, grace)
		}
	}
	// A gateway that is killed has counted calls that it did not send yet: one of each client.
	w.onePeriod(t, w.agree(t, "", int64(len(made)), int64(len(made))+clients), boundary)
}
