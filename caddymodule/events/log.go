package events

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Change is what becomes an event.
type Change struct {
	What string // of few kinds, which are not anybody's choice
	Name string
	From string
	To   string
	Why  string
}

const (
	// A thing may have burst events at once, and then one each refill. What exceeds that
	// is counted, and the last change of it is an event once there is room again.
	burst  = 10
	refill = time.Minute

	// mostSubjects bounds how many things are told apart at a time; those beyond share
	// the room of one thing for each kind.
	mostSubjects = 4096
)

// Log has the events of this gateway, and those of others as they were read last. It
// outlives configurations. It is safe for concurrent use.
type Log struct {
	now     func() time.Time
	running sync.Mutex // held by Run

	mu       sync.Mutex // guards the fields below
	gateway  string
	sequence uint64
	own      []kept // in the order of Add
	dropped  uint64
	subjects map[subject]*allowance
	changed  chan struct{} // closed when own has grown
	store    *store        // nil while no Run is there
	followed int
}

// kept is an event of this gateway and where it still has to go.
type kept struct {
	Event
	unwritten, unsent bool
}

// allowance is how many events a thing may still have.
type allowance struct {
	left    float64
	at      time.Time
	last    *Change // the last change that there was no room for; nil if there is none
	lastAt  time.Time
	omitted int // changes before last that there was no room for
}

// NewLog returns a Log without events.
func NewLog() *Log {
	return &Log{
		now:      time.Now,
		subjects: make(map[subject]*allowance),
		changed:  make(chan struct{}),
	}
}

// Dropped returns how many events were given up before Redis had them, since the
// process started.
func (l *Log) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Add makes a change an event. It appends in memory and never waits for a disk or
// another process.
func (l *Log) Add(c Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c.Name, c.Why = cut(c.Name, maxName), cut(c.Why, maxWhy)
	a := l.allowanceOf(c, now)
	if a.last == nil && a.take(now) {
		l.append(c, now, 0)
		return
	}
	if a.last != nil {
		a.omitted++
	}
	a.last, a.lastAt = &c, now
}

// allowanceOf returns the allowance of the thing that changed; l.mu is held.
func (l *Log) allowanceOf(c Change, now time.Time) *allowance {
	key := subject{c.What, c.Name}
	a, ok := l.subjects[key]
	if !ok && len(l.subjects) >= mostSubjects {
		key.name = ""
		a, ok = l.subjects[key]
	}
	if !ok {
		a = &allowance{left: burst, at: now}
		l.subjects[key] = a
	}
	return a
}

// take uses up the room of one event, if there is any.
func (a *allowance) take(now time.Time) bool {
	a.left = min(burst, a.left+float64(max(0, now.Sub(a.at)))/float64(refill))
	a.at = now
	if a.left < 1 {
		return false
	}
	a.left--
	return true
}

// append adds an event; l.mu is held.
func (l *Log) append(c Change, at time.Time, omitted int) {
	l.sequence++
	l.own = append(l.own, kept{
		Event: Event{
			ID:      fmt.Sprintf("%012x-%s-%x", at.UnixMilli(), l.gateway, l.sequence),
			At:      at.UTC(),
			Gateway: l.gateway,
			What:    c.What,
			Name:    c.Name,
			From:    c.From,
			To:      c.To,
			Why:     c.Why,
			Omitted: omitted,
		},
		unwritten: true,
		unsent:    true,
	})
	if len(l.own) > Most {
		l.shrink()
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// slack is how many events are given up at a time, so that not each one sorts all.
const slack = Most / 20

// shrink gives events up; l.mu is held.
func (l *Log) shrink() {
	list := make([]Event, len(l.own))
	for i := range l.own {
		list[i] = l.own[i].Event
	}
	keep, _ := bound(list, Most-slack)
	l.keep(keep)
}

// keep leaves only these of the own events; l.mu is held.
func (l *Log) keep(list []Event) {
	ids := make(map[string]bool, len(list))
	for i := range list {
		ids[list[i].ID] = true
	}
	left := l.own[:0]
	for _, k := range l.own {
		if ids[k.ID] {
			left = append(left, k)
		} else if k.unsent {
			l.dropped++
		}
	}
	clear(l.own[len(left):])
	l.own = left
}

// release makes events of the last changes that there was no room for, where there is
// now, and forgets things that have had no change for long.
func (l *Log) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for key, a := range l.subjects {
		switch {
		case a.last == nil && now.Sub(a.at) > burst*refill:
			delete(l.subjects, key)
		case a.last != nil && a.take(now):
			l.append(*a.last, a.lastAt, a.omitted)
			a.last, a.omitted = nil, 0
		}
	}
}

// events returns the own events.
func (l *Log) events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Event, len(l.own))
	for i := range l.own {
		list[i] = l.own[i].Event
	}
	return list
}

// Destruct implements caddy.Destructor.
func (*Log) Destruct() error { return nil }

// warn logs once that something fails, and once that it works again.
type warn struct {
	failing bool
	broken  string
	mended  string
}

func (w *warn) note(logger *zap.Logger, err error) {
	switch {
	case err != nil && !w.failing:
		logger.Warn(w.broken, zap.Error(err))
	case err == nil && w.failing:
		logger.Info(w.mended)
	}
	w.failing = err != nil
}
