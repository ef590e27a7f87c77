//go:build e2e && soak

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Contract 7.3, 7.4: for five minutes, in the middle of which a billing period ends, the clocks of three gateways are set every
// few seconds, and gateways are restarted. No period has more than the quota, each call is counted once, and in the period
// in which it was made by the clock of Redis.
func TestSoakThreeTimes(t *testing.T) {
	const limit, clients, long = 6000, 2, 5 * time.Minute
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	if _, err := shifted(); err != nil { // it takes minutes the first time
		t.Fatal(err)
	}
	began := time.Now()
	redisAhead := time.Duration(random.Int64N(int64(20*time.Minute))) - 10*time.Minute
	boundary := began.Add(redisAhead + long/2).UTC().Truncate(time.Second)
	w := startWorlds(t, redisAhead, boundary, fmt.Sprintf("\t\t\tquota %d", limit))
	w.redisMayFail = true // for moments, on a machine that does other things too
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	w.callAll(t, 10)
	ended := w.agree(t, "", int64(len(w.all())), int64(len(w.all())))[0].Period
	if !ended.End.Equal(boundary) {
		t.Errorf("calls are counted in %v, with a boundary at %v", ended, boundary)
	}
	running := w.keepCalling(ctx, t, clients, func(int, int) {})
	for sets := 1; ctx.Err() == nil; sets++ {
		i := random.IntN(len(w.clocks))
		w.clocks[i].Set(time.Duration(random.Int64N(int64(20*time.Minute))) - 10*time.Minute)
		if sets%4 == 0 {
			w.restart(t, random.IntN(len(w.gateways)), syscall.SIGTERM)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second + time.Duration(random.Int64N(int64(4*time.Second)))):
		}
	}
	running.Wait()
	made := w.all()
	before := func(at time.Time) int64 { // at by the clock of Redis
		n, _ := slices.BinarySearchFunc(made, at.Add(-redisAhead), time.Time.Compare)
		return int64(n)
	}
	first := w.agree(t, ended.Start.Format("2006-01"), before(boundary.Add(-time.Second)), before(boundary.Add(time.Second)))
	if len(first) != 1 || first[0].Period != ended {
		t.Fatalf("the gateways show %v", first)
	}
	rest := int64(len(made)) - first[0].Invocations
	second := w.agree(t, boundary.Format("2006-01"), rest, rest)
	if len(second) != 1 || !second[0].Period.Start.Equal(boundary) {
		t.Fatalf("the gateways show %v", second)
	}
	t.Logf("Redis ahead by %v: %v, then %v; %d were made, %d of them before the boundary; %d were refused, %d unavailable",
		redisAhead, first, second, len(made), before(boundary), w.refused.Load(), w.unavailable.Load())
	if first[0].Invocations > limit || second[0].Invocations > limit {
		t.Errorf("the limit is %d", limit)
	}
}
