package events

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is a change of state.
type Event struct {
	// ID is unique in the fleet.
	ID string `json:"id"`
	// At is the time of the change, by the clock of Redis where gateways share one,
	// otherwise by the gateway's.
	At      time.Time `json:"at"`
	Gateway string    `json:"gateway"` // id of the gateway that saw it
	What    string    `json:"what"`    // kind of the thing, such as region
	Name    string    `json:"name"`    // of the thing
	From    string    `json:"from"`
	To      string    `json:"to"`
	Why     string    `json:"why"` // "" if there is nothing to say
	// Omitted counts the changes of the same thing between its event before and this one
	// that were not kept, because there were too many.
	Omitted int `json:"omitted"`
}

const (
	// Most is how many events are kept.
	Most = 10_000

	// Age is for how long an event is kept.
	Age = 7 * 24 * time.Hour

	// mostOfOne is how many events of one thing are kept.
	mostOfOne = 100

	// longest texts of an event, in bytes.
	maxName = 256
	maxWhy  = 512
)

// subject is the thing that an event is about.
type subject struct{ what, name string }

func (e *Event) subject() subject { return subject{e.What, e.Name} }

// compare orders events by time.
func compare(a, b Event) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) }

// merge returns the events of all lists in the order of time, each id once, as the
// first list that has it says: in Redis an event has the time by its clock.
func merge(lists ...[]Event) []Event {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	all = slices.CompactFunc(all, func(a, b Event) bool { return a.ID == b.ID })
	slices.SortFunc(all, compare)
	return all
}

// bound returns the events that are kept, no more than most, and those that are not;
// list and both answers are in the order of time. Kinds get equal parts, and
// things equal parts of those of their kind; of each thing the newest are kept.
func bound(list []Event, most int) (keep, drop []Event) {
	kinds := make(map[string]map[subject][]int) // indices, newest first
	for i := len(list) - 1; i >= 0; i-- {
		e := &list[i]
		if kinds[e.What] == nil {
			kinds[e.What] = make(map[subject][]int)
		}
		if of := kinds[e.What][e.subject()]; len(of) < mostOfOne {
			kinds[e.What][e.subject()] = append(of, i)
		}
	}
	sizes := make([]int, 0, len(kinds))
	for _, things := range kinds {
		n := 0
		for _, of := range things {
			n += len(of)
		}
		sizes = append(sizes, n)
	}
	part := equalPart(sizes, most)
	kept := make([]bool, len(list))
	for _, things := range kinds {
		keepOfKind(things, part, kept)
	}
	for i, e := range list {
		if kept[i] {
			keep = append(keep, e)
		} else {
			drop = append(drop, e)
		}
	}
	return keep, drop
}

// keepOfKind marks the events of one kind that are kept, no more than most.
func keepOfKind(things map[subject][]int, most int, kept []bool) {
	sizes := make([]int, 0, len(things))
	for _, of := range things {
		sizes = append(sizes, len(of))
	}
	part := equalPart(sizes, most)
	var next []int // of each thing, the newest that is not in its part
	for _, of := range things {
		for _, i := range of[:min(part, len(of))] {
			kept[i] = true
			most--
		}
		if len(of) > part {
			next = append(next, of[part])
		}
	}
	slices.Sort(next)
	for _, i := range next[max(0, len(next)-most):] {
		kept[i] = true
	}
}

// equalPart returns the largest part with which groups of these sizes fit into total,
// if each has at most that.
func equalPart(sizes []int, total int) int {
	low, high := 0, total
	for low < high {
		part := (low + high + 1) / 2
		sum := 0
		for _, n := range sizes {
			sum += min(n, part)
		}
		if sum <= total {
			low = part
		} else {
			high = part - 1
		}
	}
	return low
}

// young returns the events that are not older than Age at a time.
func young(list []Event, now time.Time) []Event {
	return slices.DeleteFunc(list, func(e Event) bool { return now.Sub(e.At) > Age })
}

// cut shortens a text that has more than most bytes, and makes it valid UTF-8.
func cut(text string, most int) string {
	if len(text) > most {
		text = text[:most]
		for !utf8.ValidString(text) && len(text) > most-utf8.UTFMax {
			text = text[:len(text)-1]
		}
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
