package events

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	// readWait bounds how long Redis is waited for.
	readWait = 3 * time.Second

	// followEvery is the interval at which the events of other gateways are read while
	// somebody follows.
	followEvery = 2 * time.Second

	// mostFollowers bounds how many may follow at a time.
	mostFollowers = 16
)

// ErrFollowers is the error of Follow while too many follow already.
var ErrFollowers = errors.New("too many follow the events of this gateway already; end one of them")

// Answer is the answer of `edgegate events`.
type Answer struct {
	// Events has them in the order of time, the oldest first.
	Events []Event `json:"events"`
	// Partial says why there are only those of this gateway; "" if all are there.
	Partial string `json:"partial,omitempty"`
}

// List returns the events of all gateways that share the store.
func (l *Log) List(ctx context.Context) Answer {
	l.mu.Lock()
	from := l.store
	l.mu.Unlock()
	var others []Event
	answer := Answer{}
	if from != nil {
		ctx, cancel := context.WithTimeout(ctx, readWait)
		defer cancel()
		var err error
		if others, err = from.others(ctx); err != nil {
			answer.Partial = "the store does not answer: only the events of this gateway are listed"
		}
	}
	answer.Events, _ = bound(merge(others, l.events()), Most)
	if answer.Events == nil {
		answer.Events = []Event{}
	}
	return answer
}

// Follow calls emit with each event from now on, or after the one with the id after,
// until ctx is done or emit returns an error. alive is called first, and now and then
// between events, with the id of the latest one, "" if there is none. The error is
// emit's, alive's, ErrFollowers, or nil.
func (l *Log) Follow(ctx context.Context, after string, emit func(Event) error, alive func(latest string) error) error {
	if !l.join(1) {
		return ErrFollowers
	}
	defer l.join(-1)
	seen := make(map[string]bool)
	first := l.List(ctx).Events
	begin := slices.IndexFunc(first, func(e Event) bool { return after != "" && e.ID == after })
	for i := range first {
		seen[first[i].ID] = after == "" || i <= begin
	}
	latest := after
	if n := len(first); after == "" && n > 0 {
		latest = first[n-1].ID
	}
	note := func(e Event) error {
		latest = e.ID
		return emit(e)
	}
	if err := alive(latest); err != nil {
		return err
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		if err := emitNew(merge(first, l.events()), seen, note); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			first = nil
		case <-tick.C:
			if err := alive(latest); err != nil {
				return err
			}
			answer := l.List(ctx)
			first = answer.Events
			if answer.Partial == "" {
				forget(seen, merge(first, l.events()))
			}
		}
	}
}

func emitNew(list []Event, seen map[string]bool, emit func(Event) error) error {
	for _, e := range list {
		if !seen[e.ID] {
			if err := emit(e); err != nil {
				return err
			}
			seen[e.ID] = true
		}
	}
	return nil
}

// forget drops the ids of events that are not kept any more.
func forget(seen map[string]bool, list []Event) {
	there := make(map[string]bool, len(list))
	for i := range list {
		there[list[i].ID] = true
	}
	for id := range seen {
		if !there[id] {
			delete(seen, id)
		}
	}
}

// join counts those who follow.
func (l *Log) join(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > 0 && l.followed >= mostFollowers {
		return false
	}
	l.followed += n
	return true
}
