package health

import (
	"sync"
	"sync/atomic"
	"time"
)

// Reason is why a gateway is not ready. Anybody may read it: it names no path, no
// address and no error. `edgegate status` and the log have those.
type Reason string

// The reasons.
const (
	Starting       Reason = "starting"             // no configuration has started yet
	NoProjects     Reason = "projects_not_loaded"  // the source has not given any projects yet
	NoLedger       Reason = "ledger_not_writable"  // invocations cannot be recorded: calls are answered 503
	ClockOff       Reason = "clock_out_of_bounds"  // the clocks of this machine and of Redis are too far apart
	NotChecked     Reason = "checks_do_not_answer" // a check has hung for longer than checksHang
	DrainOrdered   Reason = "draining"             // `edgegate drain --gateway`
	ProcessExiting Reason = "stopping"             // the process ends
)

// Answer is whether a gateway is ready, and all reasons why it is not. Reasons is
// empty, never nil, if it is.
type Answer struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons"`
}

// Checks are the conditions of a gateway at a moment.
type Checks struct {
	ProjectsLoaded bool
	LedgerWritable bool
	ClockInBounds  bool
}

const (
	// answersFor is how long the result of the checks is used again, so that any number
	// of questions costs ten checks a second.
	answersFor = 100 * time.Millisecond

	// checksHang is the age at which the result of the last checks does not count any
	// more while newer ones do not come to an end.
	checksHang = 5 * time.Second
)

// State is the health of the process. It outlives configurations, as the load
// balancers that ask do. It is safe for concurrent use.
type State struct {
	now     func() time.Time
	exiting func() bool
	stop    func() // ends the process gracefully

	checking sync.Mutex // held while the checks run
	last     atomic.Pointer[result]

	drains drains
}

// result is what the checks found at a time.
type result struct {
	at      time.Time
	reasons []Reason
}

// Config has what a State is told of the process.
type Config struct {
	Exiting func() bool      // whether the process ends
	Stop    func()           // ends the process gracefully; called at most once by a drain
	Now     func() time.Time // default: time.Now
}

// NewState returns the State of a process in which nothing was checked yet.
func NewState(c Config) *State {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &State{now: c.Now, exiting: c.Exiting, stop: c.Stop}
}

// Answer returns whether the gateway is ready. check is called unless it was within the
// last 100 ms; its ok is false while the configuration that is asked has not started:
// then the last result stays, which is that of the configuration before. A drain and
// the end of the process show at once.
func (s *State) Answer(check func() (found Checks, ok bool)) Answer {
	answer := Answer{Reasons: append([]Reason{}, s.checked(check)...)}
	if s.drains.active() {
		answer.Reasons = append(answer.Reasons, DrainOrdered)
	}
	if s.exiting() {
		answer.Reasons = append(answer.Reasons, ProcessExiting)
	}
	answer.Ready = len(answer.Reasons) == 0
	return answer
}

// checked returns what the latest checks found. While they run, all who ask get the
// result before.
func (s *State) checked(check func() (Checks, bool)) []Reason {
	last := s.last.Load()
	if last != nil && s.now().Sub(last.at) < answersFor {
		return last.reasons
	}
	switch {
	case last == nil:
		s.checking.Lock()
	case !s.checking.TryLock():
		if s.now().Sub(last.at) > checksHang {
			return []Reason{NotChecked}
		}
		return last.reasons
	}
	defer s.checking.Unlock()
	if newer := s.last.Load(); newer != last {
		return newer.reasons
	}
	now := s.now()
	if found, ok := check(); ok {
		last = &result{now, found.reasons()}
		s.last.Store(last)
	}
	if last == nil {
		return []Reason{Starting}
	}
	return last.reasons
}

func (c Checks) reasons() (all []Reason) {
	if !c.ProjectsLoaded {
		all = append(all, NoProjects)
	}
	if !c.LedgerWritable {
		all = append(all, NoLedger)
	}
	if !c.ClockInBounds {
		all = append(all, ClockOff)
	}
	return all
}

// Destruct implements caddy.Destructor: a drain that waits does not stop the process
// any more.
func (s *State) Destruct() error {
	s.drains.forget()
	return nil
}
