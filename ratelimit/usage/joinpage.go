package usage

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// part is what a gateway told of an item on its own, while it shared no store.
type part struct {
	Revision int64 `json:"r"`
	Value    int64 `json:"v,omitempty"`
	Amount   int64 `json:"a,omitempty"`
}

// common returns what was told of an item by the gateways of the shared store, of
// which one at a time sends.
func (d *delivered) common() part {
	c := part{Revision: d.Revision, Value: d.Value, Amount: d.Amount}
	if len(d.Alone) > 0 {
		c.Revision = d.Common
	}
	for _, p := range d.Alone {
		c.Value -= p.Value
		c.Amount -= p.Amount
	}
	return c
}

// by returns the part of a gateway on its own, or the common part for "".
func (d *delivered) by(gateway string) part {
	if gateway == "" {
		return d.common()
	}
	return d.Alone[gateway]
}

// tell adds to the part of a gateway on its own, or to the common part for "", and
// sets its revision.
func (d *delivered) tell(gateway string, more part) {
	switch {
	case gateway != "":
		if len(d.Alone) == 0 {
			d.Common = d.Revision
		}
		alone := make(map[string]part, len(d.Alone)+1)
		maps.Copy(alone, d.Alone)
		p := alone[gateway]
		alone[gateway] = part{more.Revision, p.Value + more.Value, p.Amount + more.Amount}
		d.Alone = alone
	case len(d.Alone) > 0:
		d.Common = more.Revision
	}
	d.Revision = max(d.Revision, more.Revision)
	d.Value += more.Value
	d.Amount += more.Amount
}

// laterThan reports whether the last that a service was told is in d, not in other.
func (d *delivered) laterThan(other *delivered) bool {
	if d.Revision == other.Revision && d.Back != other.Back {
		return d.Back
	}
	return cmp.Or(
		cmp.Compare(d.Revision, other.Revision),
		cmp.Compare(d.Value, other.Value),
		cmp.Compare(d.Amount, other.Amount),
		cmp.Compare(d.Last, other.Last),
		cmp.Compare(d.Digest, other.Digest),
		cmp.Compare(d.Before, other.Before),
		cmp.Compare(d.BeforePaid, other.BeforePaid),
	) > 0
}

// covers reports whether d has all that a service was told according to other.
func (d *delivered) covers(other *delivered) bool {
	for gateway, p := range other.Alone {
		if p.Revision > d.Alone[gateway].Revision {
			return false
		}
	}
	return d.common().Revision >= other.common().Revision
}

// joinDelivered returns what is known of an item if a and b each know a part of it:
// of the common part, and of what each gateway told on its own, the later revision.
func joinDelivered(a, b delivered) delivered {
	later, other := a, b
	if b.laterThan(&a) {
		later, other = b, a
	}
	switch {
	case later.covers(&other):
		return later
	case other.covers(&later):
		return other
	}
	// Each was told something that the other does not know of: a service that keeps what
	// it was told last may have either.
	joined := later
	common := later.common()
	if c := other.common(); c.Revision > common.Revision {
		common = c
	}
	joined.Value, joined.Amount = common.Value, common.Amount
	joined.Alone, joined.Common = union(later.Alone, other.Alone), common.Revision
	for gateway, p := range joined.Alone {
		if p.Revision < later.Alone[gateway].Revision {
			p = later.Alone[gateway]
			joined.Alone[gateway] = p
		}
		joined.Value += p.Value
		joined.Amount += p.Amount
	}
	joined.Before += joined.Value - later.Value
	joined.BeforePaid += joined.Amount - later.Amount
	joined.Digest, joined.Again = "", true
	return joined
}

// joinPages returns what a service was told if a and b each have a part of it. The
// order does not matter, and joining again changes nothing. Messages without a known
// outcome in either stay pending, under their names.
func joinPages(a, b *page) *page {
	joined := new(page)
	for _, id := range slices.Sorted(maps.Keys(union(a.Sent, b.Sent))) {
		x, inA := a.Sent[id]
		y, inB := b.Sent[id]
		if joined.Sent == nil {
			joined.Sent = make(map[string]delivered)
		}
		switch {
		case !inA:
			joined.Sent[id] = y
		case !inB:
			joined.Sent[id] = x
		default:
			joined.Sent[id] = joinDelivered(x, y)
		}
	}
	for id := range union(a.Rejected, b.Rejected) {
		if r, still := joinRejected(id, a, b); still {
			if joined.Rejected == nil {
				joined.Rejected = make(map[string]rejected)
			}
			joined.Rejected[id] = r
		}
	}
	at := make(map[string]int)
	for _, m := range slices.Concat(a.Pending, b.Pending) {
		name := m.Name()
		if i, again := at[name]; again {
			joined.Pending[i].Tries = max(joined.Pending[i].Tries, m.Tries)
			if f := joined.Pending[i].First; f.IsZero() || !m.First.IsZero() && m.First.Before(f) {
				joined.Pending[i].First = m.First
			}
			continue
		}
		sent := joined.Sent[m.ID]
		if r, no := joined.Rejected[m.ID]; sent.by(m.Alone).Revision >= m.Revision || no && r.Name() == name {
			continue // its outcome is known
		}
		at[name] = len(joined.Pending)
		joined.Pending = append(joined.Pending, m)
	}
	slices.SortStableFunc(joined.Pending, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Alone, b.Alone))
	})
	return joined
}

func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = make(map[string]V)
	}
	maps.Copy(all, b)
	return all
}

// joinRejected returns the message of an item that the service refused, unless a or b
// knows better: it was told more since, or the message is to be sent again.
func joinRejected(id string, a, b *page) (r rejected, still bool) {
	known := func(of, other *page) (rejected, bool) {
		r, no := of.Rejected[id]
		if !no {
			return r, false
		}
		if _, too := other.Rejected[id]; too {
			return r, true
		}
		mine, theirs := of.Sent[id], other.Sent[id]
		switch has := theirs.by(r.Alone).Revision; {
		case has < r.Revision:
			return r, true
		case has > r.Revision:
			return r, false
		}
		return r, mine.Back && !theirs.Back
	}
	x, inA := known(a, b)
	y, inB := known(b, a)
	switch {
	case inA && inB:
		if y.Revision > x.Revision || y.Revision == x.Revision && y.Reason > x.Reason {
			return y, true
		}
		return x, true
	case inA:
		return x, true
	}
	return y, inB
}

// joinTexts is joinPages on stored pages; nil is a page that does not exist.
func joinTexts(a, b []byte) ([]byte, error) {
	switch {
	case len(a) == 0 || string(a) == string(b):
		return b, nil
	case len(b) == 0:
		return a, nil
	}
	var x, y page
	if err := json.Unmarshal(a, &x); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &y); err != nil {
		return nil, err
	}
	return json.Marshal(joinPages(&x, &y))
}
