package auth

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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

// BEHAVIOUR section 5, 3.6: a flood of distinct tokens on one project takes at
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
