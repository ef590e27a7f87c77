package simulation

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The model opens and closes where regions does with gobreaker (see
// regions/breaker_test.go).
func TestBreaker(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	feed := func(b *breaker, at, each time.Duration, outcomes string) {
		for _, outcome := range outcomes {
			b.report(at, outcome == '+', random)
			at += each
		}
	}
	for _, test := range []struct {
		name, outcomes string
		each           time.Duration
		open           bool
	}{
		{"four failures in a row", "----", 0, false},
		{"five failures in a row", "-----", 0, true},
		{"a pass between", "----+----", 0, false},
		{"half of twenty", "+-+-+-+-+-+-+-+-+-+-", 0, true},
		{"half of nineteen", "+-+-+-+-+-+-+-+-+-+", 0, false},
		{"less than half of many", "+-++-++-++-++-++-++-++-++-++-+", 0, false},
		{"half, slowly: never twenty in ten seconds", "+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-", time.Second, false},
	} {
		var b breaker
		feed(&b, time.Minute, test.each, test.outcomes)
		if b.open != test.open {
			t.Errorf("%s: open is %t", test.name, b.open)
		}
	}
}

func TestBreakerReturns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var b breaker
	now, before := time.Minute, time.Duration(0)
	for range 8 {
		for range 5 {
			if b.admit(now) {
				b.report(now, false, random)
			}
		}
		wait := b.until - now
		if b.admit(now+wait-1) || !b.isOpen(now+wait-1) {
			t.Fatalf("admits after %s of %s", wait-1, wait)
		}
		if least := time.Duration(1.6 * float64(before)); wait < 4500*time.Millisecond || wait > 66*time.Second || wait < least && wait < 54*time.Second {
			t.Fatalf("waits %s after %s", wait, before)
		}
		before, now = wait, now+wait
	}
	for i := range 3 {
		if !b.admit(now) {
			t.Fatalf("request %d of three is not admitted", i+1)
		}
	}
	if b.admit(now) {
		t.Error("a fourth is admitted")
	}
	for range 3 {
		b.report(now, true, random)
	}
	if b.open || b.wait != 0 {
		t.Errorf("open %t, waits %s after three passes", b.open, b.wait)
	}
}

func TestQueue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var q queue
	for range 1000 {
		q.push(time.Duration(random.IntN(50)), kindArrival, 0)
	}
	last := q.pop()
	for range 999 {
		e := q.pop()
		if !last.before(&e) {
			t.Fatalf("%v after %v", e, last)
		}
		last = e
	}
}
