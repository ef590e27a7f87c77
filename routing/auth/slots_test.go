package auth

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// occupy takes n slots as n signature checks would that take long.
func occupy(t *testing.T, v *Verifier, n int) {
	t.Helper()
	for range n {
		if !v.shared.acquire(v.slots) {
			t.Fatal("no slot")
		}
	}
	t.Cleanup(func() {
		for range n {
			v.shared.release(v.slots)
		}
	})
}

// Contract 3.6, 5.21: a flood of distinct tokens on one project takes at
// most half of the slots, so that others are served; what needs no slot, HS256 and
// remembered tokens, is served all the same; the rest is told to come again.
func TestFloodStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(SharedConfig{Slots: 4})
		config := Config{Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair), Shared: shared}
		flooded, other := verifierOf(t, config), verifierOf(t, config)
		remembered := ecPair.token(`{"sub":"remembered"}`)
		if _, err := refusal(flooded, remembered, now); err != nil {
			t.Fatal(err)
		}
		occupy(t, flooded, 2)

		before := time.Now()
		for name, tt := range map[string]struct {
			v     *Verifier
			token string
		}{
			"HS256":                 {flooded, sign(hs256, `{}`, secret)},
			"remembered":            {flooded, remembered},
			"another project's":     {other, ecPair.token(`{"sub":"other"}`)},
			"another that is wrong": {other, ecPair.token(`{"sub":"else"}`)},
		} {
			if _, err := refusal(tt.v, tt.token, now); err != nil || time.Since(before) != 0 {
				t.Errorf("%s: %v after %s", name, err, time.Since(before))
			}
		}

		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				_, failure := flooded.Check(bearer(ecStranger.token(`{}`)), true, now)
				if failure == nil || !errors.Is(failure.Err, ErrBusy) || failure.Code != "GATEWAY_OVERLOADED" || failure.Challenge != "" {
					t.Errorf("%+v, want busy", failure)
				}
			})
		}
		synctest.Wait()
		if got := shared.Stats(); got.Waiting != 50 || got.Busy != 0 {
			t.Errorf("%d wait, %d refused", got.Waiting, got.Busy)
		}
		group.Wait()
		if took := time.Since(before); took != time.Second {
			t.Errorf("waited %s for a slot, want 1 s", took)
		}
		if got := shared.Stats(); got.Waiting != 0 || got.Busy != 50 {
			t.Errorf("%d wait, %d refused", got.Waiting, got.Busy)
		}
	})
}

// Contract 9.6: however many tokens come at a time, so many wait and no more, and one project's leave places for others'.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(SharedConfig{Slots: 4})
		var flooded []*Verifier
		for range 3 {
			flooded = append(flooded, verifierOf(t, Config{Keys: parseSet(t, ecPair), Shared: shared}))
			occupy(t, flooded[len(flooded)-1], min(2, 4-len(shared.slots)))
		}
		forged := bearer(ecStranger.token(`{}`))
		var group sync.WaitGroup
		for i, want := range []int64{mostWaiting / 2, mostWaiting, mostWaiting} {
			for range mostWaiting/2 + 500 {
				group.Go(func() {
					if _, failure := flooded[i].Check(forged, true, now); failure == nil || !errors.Is(failure.Err, ErrBusy) {
						t.Errorf("%+v, want busy", failure)
					}
				})
			}
			synctest.Wait()
			if got := shared.Stats().Waiting; got != want {
				t.Errorf("%d wait after the flood of %d, want %d", got, i+1, want)
			}
		}
		group.Wait()
		if got := shared.Stats(); got.Waiting != 0 || got.Busy != 3*(mostWaiting/2+500) {
			t.Errorf("%d wait, %d refused", got.Waiting, got.Busy)
		}
		for i, v := range flooded {
			if n := v.slots.waiting.Load(); n != 0 {
				t.Errorf("%d: %d wait", i, n)
			}
		}
	})
}

// Contract 9.6: the same for invented keys, while a set is fetched from a slow server: before it was ever had, and later.
func TestWaitingForKeysIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: 3 * time.Second}
		s.serve(ecPair)
		shared := NewShared(SharedConfig{})
		v := verifierOf(t, Config{Secrets: [][]byte{secret}, Remotes: []*jwks.Remote{remoteOf(s)}, Shared: shared})
		for round := range 2 {
			before := shared.Stats().Busy
			var group sync.WaitGroup
			for range mostWaiting/2 + 500 {
				group.Go(func() {
					if _, failure := v.Check(bearer(ecNext.token(`{}`)), true, now); failure == nil {
						t.Error("it was accepted")
					}
				})
			}
			synctest.Wait()
			if got := shared.Stats(); got.Waiting != mostWaiting/2 || got.Busy-before != 500 {
				t.Errorf("round %d: %d wait, %d were refused", round, got.Waiting, got.Busy-before)
			}
			if _, err := refusal(v, sign(hs256, `{}`, secret), now); err != nil {
				t.Errorf("round %d: what needs no key of it waits: %v", round, err)
			}
			group.Wait()
			if got := shared.Stats(); got.Waiting != 0 {
				t.Errorf("round %d: %d wait", round, got.Waiting)
			}
			if _, err := refusal(v, ecPair.token(`{}`), now); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			time.Sleep(11 * time.Second)
		}
	})
}

// Who waits gets the slot that becomes free, and nobody loses one.
func TestSlotsAreHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(SharedConfig{Slots: 2})
		v := verifierOf(t, Config{Keys: parseSet(t, ecPair), Shared: shared})
		other := verifierOf(t, Config{Keys: parseSet(t, ecPair), Shared: shared})
		if !shared.acquire(v.slots) || !shared.acquire(other.slots) {
			t.Fatal("no slot")
		}
		go func() {
			time.Sleep(500 * time.Millisecond)
			shared.release(v.slots)
		}()
		token := ecPair.token(`{}`)
		before := time.Now()
		if _, err := refusal(v, token, now); err != nil || time.Since(before) != 500*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(before))
		}
		// All are taken by others: the Verifier's own slot is given back.
		third := verifierOf(t, Config{Keys: parseSet(t, ecPair), Roles: []string{"r"}, Shared: shared})
		if !shared.acquire(v.slots) {
			t.Fatal("no slot")
		}
		for range 3 {
			if _, err := refusal(third, ecPair.token(`{}`), now); !errors.Is(err, ErrBusy) {
				t.Errorf("%v, want busy", err)
			}
		}
		shared.release(v.slots)
		shared.release(other.slots)
		if _, err := refusal(third, ecPair.token(`{"role":"r"}`), now); err != nil {
			t.Errorf("a slot was lost: %v", err)
		}
	})
}

// What was refused as busy is no verdict, and remembered nowhere.
func TestBusyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := verifierOf(t, Config{Keys: parseSet(t, ecPair), Shared: NewShared(SharedConfig{Slots: 1, Wait: time.Millisecond})})
		token := ecPair.token(`{}`)
		if !v.shared.acquire(v.slots) {
			t.Fatal("no slot")
		}
		if _, err := refusal(v, token, now); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want busy", err)
		}
		v.shared.release(v.slots)
		if _, err := refusal(v, token, now); err != nil {
			t.Errorf("still refused: %v", err)
		}
	})
}
