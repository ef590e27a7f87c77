package simulation

import "time"

// kind is the kind of an event.
type kind uint8

const (
	kindArrival kind = iota // the next request; the argument is unused
	kindProbe               // a probe starts; the argument is a link
	kindProbed              // a probe ended; the argument is a link
	kindView                // all gateways look at their regions
	kindDecide              // a request that found all full looks again; the argument is a call
	kindSent                // an attempt ended; the argument is a call
)

// event is something that happens at a time since the start of the run. Events
// of the same time happen in the order in which they were put in.
type event struct {
	at       time.Duration
	number   uint64
	kind     kind
	argument int32
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.number < o.number
}

// queue is the clock: a heap of events, the earliest first. container/heap would
// allocate for each of the millions.
type queue struct {
	events []event
	number uint64
}

func (q *queue) push(at time.Duration, k kind, argument int32) {
	q.number++
	q.events = append(q.events, event{at, q.number, k, argument})
	for i := len(q.events) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.events[i].before(&q.events[parent]) {
			break
		}
		q.events[i], q.events[parent] = q.events[parent], q.events[i]
		i = parent
	}
}

func (q *queue) pop() event {
	first, last := q.events[0], len(q.events)-1
	q.events[0] = q.events[last]
	q.events = q.events[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q.events[child].before(&q.events[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		q.events[i], q.events[least] = q.events[least], q.events[i]
		i = least
	}
}
