package usage

import (
	"slices"
	"strings"
	"time"
)

// Term is a part of the time in which an organization had one price.
type Term struct {
	From  time.Time `json:"from"` // a whole minute; zero: from the beginning
	Price Price     `json:"price"`
}

// Terms are the terms of an organization in order, each with a later From than the
// one before. Terms are only ever appended: lists of two gateways are joined without
// a loss.
type Terms []Term

const (
	// termNotice is the least time between a change and the minute in which it takes
	// effect: all gateways that reach the store know it by then, and begin new sums.
	termNotice = time.Minute
	// termsKept bounds the terms of an organization.
	termsKept = 200
)

// At returns the price at a time. It is false if no term is known for it.
func (t Terms) At(at time.Time) (Price, bool) {
	term, ok := t.at(at)
	return term.Price, ok
}

func (t Terms) at(at time.Time) (Term, bool) {
	for _, term := range slices.Backward(t) {
		if !term.From.After(at) {
			return term, true
		}
	}
	return Term{}, false
}

// Next returns when the first term after a time begins. It is false if there is
// none.
func (t Terms) Next(after time.Time) (time.Time, bool) {
	for _, term := range t {
		if term.From.After(after) {
			return term.From, true
		}
	}
	return time.Time{}, false
}

// Join returns the terms that are in either list. Of two that begin in the same
// minute, which two stores without each other may have, all gateways choose the
// same.
func (t Terms) Join(other Terms) Terms {
	all := slices.Concat(t, other)
	slices.SortStableFunc(all, func(a, b Term) int {
		if c := a.From.Compare(b.From); c != 0 {
			return c
		}
		return strings.Compare(b.Price.Revision(), a.Price.Revision())
	})
	all = slices.CompactFunc(all, func(a, b Term) bool { return a.From.Equal(b.From) })
	return all[max(0, len(all)-termsKept):]
}

// Equal reports whether both lists are the same.
func (t Terms) Equal(other Terms) bool {
	return slices.EqualFunc(t, other, func(a, b Term) bool { return a.From.Equal(b.From) && a.Price == b.Price })
}

// Change is what the configuration of a gateway says anew of an organization.
type Change struct {
	Was *Price // what it said before; nil: this gateway has not known the organization
	Is  Price
	At  time.Time // now, by the clock of the store
	// WholeHours begins terms with hours, for gateways of builds before terms.
	WholeHours bool
}

// Change returns the terms after a change. They are the same if the change is known
// already: another gateway has seen it, or this one is behind the others and learns
// only now what they have had and left.
func (t Terms) Change(c Change) Terms {
	if len(t) == 0 {
		if c.Was == nil || *c.Was == c.Is {
			return t
		}
		t = Terms{{Price: *c.Was}}
	}
	last := t[len(t)-1]
	if last.Price == c.Is {
		return t
	}
	follows := c.Was != nil && *c.Was == last.Price
	if !follows && slices.ContainsFunc(t, func(term Term) bool { return term.Price == c.Is }) {
		return t
	}
	return append(slices.Clone(t), Term{From: c.from(last.From), Price: c.Is})
}

// from returns when the change takes effect: termNotice later at the earliest, and
// after the change before.
func (c *Change) from(last time.Time) time.Time {
	unit := time.Minute
	if c.WholeHours {
		unit = time.Hour
	}
	from := c.At.Add(termNotice + unit - 1).Truncate(unit)
	if !from.After(last) {
		from = last.Truncate(unit).Add(unit)
	}
	return from.UTC()
}
