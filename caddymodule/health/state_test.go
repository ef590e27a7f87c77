package health

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var good = Checks{ProjectsLoaded: true, LedgerWritable: true, ClockInBounds: true}

// found is a check with this result.
func found(c Checks) func() (Checks, bool) { return func() (Checks, bool) { return c, true } }

// unstarted is the check of a configuration that has not started.
func unstarted() (Checks, bool) { return Checks{}, false }

func running() *State { return NewState(Config{Exiting: func() bool { return false }}) }

func TestReasons(t *testing.T) {
	for _, tc := range []struct {
		checks func() (Checks, bool)
		want   []Reason
	}{
		{found(good), []Reason{}},
		{found(Checks{LedgerWritable: true, ClockInBounds: true}), []Reason{NoProjects}},
		{found(Checks{ProjectsLoaded: true, ClockInBounds: true}), []Reason{NoLedger}},
		{found(Checks{ProjectsLoaded: true, LedgerWritable: true}), []Reason{ClockOff}},
		{found(Checks{}), []Reason{NoProjects, NoLedger, ClockOff}},
		{unstarted, []Reason{Starting}},
	} {
		got := running().Answer(tc.checks)
		if !slices.Equal(got.Reasons, tc.want) || got.Reasons == nil || got.Ready != (len(tc.want) == 0) {
			t.Errorf("%+v, want %v", got, tc.want)
		}
	}
	exits := NewState(Config{Exiting: func() bool { return true }})
	if got := exits.Answer(found(good)); got.Ready || !slices.Equal(got.Reasons, []Reason{ProcessExiting}) {
		t.Errorf("while it exits: %+v", got)
	}
}

// However often it is asked, the checks run ten times a second; a reload does not make the gateway unready.
func TestChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, checks := running(), 0
		for range 100_000 {
			s.Answer(func() (Checks, bool) { checks++; return good, true })
			time.Sleep(10 * time.Microsecond)
		}
		if checks < 9 || checks > 11 {
			t.Errorf("%d checks in a second", checks)
		}
		time.Sleep(time.Hour)
		if got := s.Answer(unstarted); !got.Ready {
			t.Errorf("a configuration that starts: %+v", got)
		}
		time.Sleep(answersFor)
		if got := s.Answer(found(Checks{})); got.Ready {
			t.Error("the new configuration is not asked")
		}
	})
}

// A check that hangs stops neither those who ask nor, for ever, the answer "ready".
func TestCheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release, asked := running(), make(chan struct{}), new(atomic.Int64)
		s.Answer(found(good))
		hangs := func() (Checks, bool) { asked.Add(1); <-release; return good, true }
		time.Sleep(answersFor)
		go s.Answer(hangs)
		synctest.Wait()
		if got := s.Answer(hangs); !got.Ready {
			t.Errorf("at once: %+v", got)
		}
		time.Sleep(checksHang)
		if got := s.Answer(hangs); got.Ready || !slices.Equal(got.Reasons, []Reason{NotChecked}) {
			t.Errorf("after %s: %+v", checksHang, got)
		}
		close(release)
		synctest.Wait()
		time.Sleep(answersFor)
		if got := s.Answer(found(good)); !got.Ready || asked.Load() != 1 {
			t.Errorf("afterwards: %+v, %d checks", got, asked.Load())
		}
	})
}

// drained is a State whose process stops into the returned counter.
func drained() (*State, *atomic.Int64) {
	stops := new(atomic.Int64)
	return NewState(Config{Exiting: func() bool { return false }, Stop: func() { stops.Add(1) }}), stops
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stops := drained()
		if _, err := s.Undrain(); err != ErrNotDrained {
			t.Errorf("undrain without a drain: %v", err)
		}
		status, err := s.Drain(time.Minute, false)
		if err != nil || status.Phase != Draining || !status.Stops || status.Ends.Sub(*status.Since) != time.Minute {
			t.Errorf("%+v, %v", status, err)
		}
		if got := s.Answer(found(good)); got.Ready || !slices.Equal(got.Reasons, []Reason{DrainOrdered}) {
			t.Errorf("not at once: %+v", got)
		}
		time.Sleep(59 * time.Second)
		if _, err := s.Undrain(); err != nil || !s.Answer(found(good)).Ready {
			t.Errorf("taken back: %v", err)
		}
		time.Sleep(time.Hour)
		if n := stops.Load(); n != 0 {
			t.Errorf("stopped %d times although it was taken back", n)
		}
		// A second order takes the place of the first, and keeps its beginning.
		first, _ := s.Drain(time.Hour, false)
		time.Sleep(time.Second)
		if second, err := s.Drain(2*time.Second, false); err != nil || !second.Since.Equal(*first.Since) || second.Ends.Sub(*second.Since) != 3*time.Second {
			t.Errorf("second order %+v, %v", second, err)
		}
		time.Sleep(2*time.Second + time.Millisecond)
		if n := stops.Load(); n != 1 || s.DrainStatus().Phase != Stopping {
			t.Errorf("stopped %d times, %+v", n, s.DrainStatus())
		}
		if _, err := s.Undrain(); err != ErrStopping {
			t.Errorf("undrain while it stops: %v", err)
		}
		if _, err := s.Drain(time.Second, false); err != ErrStopping {
			t.Errorf("drain while it stops: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if n := stops.Load(); n != 1 {
			t.Errorf("stopped %d times", n)
		}
	})
}

func TestDrainThatDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stops := drained()
		if _, err := s.Drain(time.Second, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if status := s.DrainStatus(); status.Phase != Drained || stops.Load() != 0 || s.Answer(found(good)).Ready {
			t.Errorf("%+v, stopped %d times", status, stops.Load())
		}
		if status, err := s.Undrain(); err != nil || status != (Status{Phase: Serving}) {
			t.Errorf("%+v, %v", status, err)
		}
		// A process that has no gateway any more is not stopped by an order to it.
		if _, err := s.Drain(time.Second, false); err != nil {
			t.Fatal(err)
		}
		if err := s.Destruct(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if stops.Load() != 0 {
			t.Error("stopped after its end")
		}
	})
	for _, over := range []time.Duration{-1, maxOver + 1} {
		if _, err := running().Drain(over, false); err == nil {
			t.Errorf("over %s is taken", over)
		}
	}
}
