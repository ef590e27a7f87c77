package regions

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errFault = errors.New("the backend's fault")

// report sends requests with these outcomes through a breaker and returns how
// many it let pass.
func report(b *breaker, outcomes ...error) (passed int) {
	for _, outcome := range outcomes {
		done, ok := b.allow()
		if !ok {
			continue
		}
		passed++
		done(outcome)
	}
	return passed
}

func repeat(outcome error, n int) []error {
	list := make([]error, n)
	for i := range list {
		list[i] = outcome
	}
	return list
}

func TestBreakerOpens(t *testing.T) {
	alternating := make([]error, 0, 40)
	for range 20 {
		alternating = append(alternating, nil, errFault)
	}
	for _, tc := range []struct {
		name     string
		outcomes []error
		open     bool
	}{
		{"nothing", nil, false},
		{"four in a row", repeat(errFault, 4), false},
		{"five in a row", repeat(errFault, 5), true},
		{"five, interrupted", append(append(repeat(errFault, 4), nil), errFault), false},
		{"nobody's fault", repeat(errNobody, 1000), false},
		{"nobody's fault between", []error{errFault, errNobody, errFault, errNobody, errFault, errFault}, false},
		{"nobody's fault between five", []error{errFault, errNobody, errFault, errNobody, errFault, errFault, errFault}, true},
		{"half of nineteen", alternating[:18], false},
		{"half of twenty", alternating[:20], true},
		{"a third of many", func() (list []error) {
			for range 100 {
				list = append(list, nil, nil, errFault)
			}
			return list
		}(), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(func() {})
				report(b, tc.outcomes...)
				if got := b.open(time.Now()); got != tc.open {
					t.Errorf("open: %v, want %v", got, tc.open)
				}
			})
		})
	}
}

// Failures count for ten seconds.
func TestBreakerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(func() {})
		for range 9 {
			report(b, nil, errFault)
		}
		if rate := b.failureRate(); rate != 0 {
			t.Errorf("failure rate %v of 18 requests: too few to tell", rate)
		}
		time.Sleep(11 * time.Second)
		report(b, nil, errFault)
		if b.open(time.Now()) {
			t.Error("it opened by failures of long ago")
		}
		report(b, repeat(nil, 38)...)
		if rate := b.failureRate(); rate < 0.02 || rate > 0.03 {
			t.Errorf("failure rate %v, want 1 of 40", rate)
		}
	})
}

// It opens for 5 s first, for twice as long each time it opens again, at most
// 60 s and a tenth; three successes close it, and after a minute of peace it
// begins anew.
func TestBreakerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := 0
		b := newBreaker(func() { changes++ })
		report(b, repeat(errFault, 5)...)
		for i, seconds := range []int{5, 10, 20, 40, 60, 60} {
			want := time.Duration(seconds) * time.Second
			time.Sleep(want - time.Millisecond)
			if report(b, nil) != 0 {
				t.Fatalf("opening %d: a request passes before %v", i, want)
			}
			time.Sleep(want/10 + 2*time.Millisecond)
			if report(b, errFault) != 1 {
				t.Fatalf("opening %d: no trial after %v and a tenth", i, want)
			}
		}
		time.Sleep(67 * time.Second)
		if got := report(b, nil, nil, nil); got != breakerTrials {
			t.Fatalf("%d trials pass, want %d", got, breakerTrials)
		}
		if report(b, repeat(nil, 10)...) != 10 {
			t.Error("three successes did not close it")
		}
		time.Sleep(2 * time.Minute)
		report(b, repeat(errFault, 5)...)
		time.Sleep(6 * time.Second)
		if report(b, nil) != 1 {
			t.Error("after two minutes of peace it does not begin with 5 s")
		}
		if changes < 8 {
			t.Errorf("told of %d changes", changes)
		}
	})
}

// While it tries, three requests pass at a time.
func TestBreakerTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(func() {})
		report(b, repeat(errFault, 5)...)
		time.Sleep(6 * time.Second)
		passed := 0
		for range 10 {
			if _, ok := b.allow(); ok {
				passed++
			}
		}
		if passed != breakerTrials {
			t.Errorf("%d requests pass, want %d", passed, breakerTrials)
		}
	})
}

func BenchmarkBreaker(b *testing.B) {
	breaker := newBreaker(func() {})
	b.ReportAllocs()
	for b.Loop() {
		done, _ := breaker.allow()
		done(nil)
	}
}
