//go:build e2e && soak

package e2e

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

func init() {
	meteringKills = 100
	meteringReloads = 1000
}

// No request waits for Redis: rounds in which it answers and rounds in which it hangs take turns, and their 99th
// percentiles are compared with how far those of like rounds are apart. It prints them; what they may be is no test's
// business, but every call is answered and counted.
func TestSoakRedisHangs(t *testing.T) {
	const rounds, long, callers = 20, 2 * time.Second, 4
	w, redis := startWitness(t), redistest.Single(t)
	g := startGateway(t, config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore redis " + redis.URL(), project: "\t\t\torganization acme\n\t\t\tquota 100000000",
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	run := func() []time.Duration {
		var mu sync.Mutex
		var all []time.Duration
		var running sync.WaitGroup
		for range callers {
			running.Go(func() {
				var took []time.Duration
				for start := time.Now(); time.Since(start) < long; time.Sleep(2 * time.Millisecond) {
					began := time.Now()
					res, err := client.Get(g.url + "/functions/v1/ok")
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
					took = append(took, time.Since(began))
					if res.StatusCode != http.StatusOK {
						t.Errorf("answered %d", res.StatusCode)
						return
					}
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, took...)
			})
		}
		running.Wait()
		slices.Sort(all)
		return all
	}
	for range 5 { // until grants are for ten minutes of this rate
		run()
	}
	answers, hangs := make([]time.Duration, rounds), make([]time.Duration, rounds)
	for i := range rounds {
		took := run()
		answers[i] = took[len(took)*99/100]
		redis.Pause()
		took = run()
		hangs[i] = took[len(took)*99/100]
		redis.Resume()
		time.Sleep(time.Second)
	}
	for name, p99 := range map[string][]time.Duration{"answers": answers, "hangs": hangs} {
		slices.Sort(p99)
		t.Logf("Redis %s: the 99th percentile is %s, from %s to %s in half of %d rounds", name, p99[rounds/2], p99[rounds/4], p99[rounds*3/4], rounds)
	}
	if n, _ := counted(t, g, ""); n != w.calls.Load() {
		t.Errorf("%d are counted, %d were made", n, w.calls.Load())
	}
}
