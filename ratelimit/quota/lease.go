package quota

import "time"

const (
	// reclaimFor is how long, after a starved holder got nothing, all others are asked
	// to give back what they do not use. prelude.lua has it too.
	reclaimFor = 3 * time.Second
	// presentFor is how long after its last claim a holder counts as one of those
	// that share what is left.
	presentFor = 15 * time.Second
)

// lease is the state of one organization's quota in one period, as quotas.db has
// it in JSON. claim.lua keeps the same state in fields of a Redis hash.
type lease struct {
	Total         int64             `json:"total"`
	Holders       map[string]holder `json:"holders"`
	ExhaustedAt   int64             `json:"since,omitempty"`  // when a starved holder first got nothing, in Unix microseconds; 0: something is left
	StarvedAt     int64             `json:"needed,omitempty"` // when one last got nothing, in Unix microseconds
	StarvedHolder string            `json:"needy,omitempty"`  // the holder that got nothing then
}

type holder struct {
	Granted int64  `json:"granted"`
	Number  uint64 `json:"number"` // of the latest claim
	Seen    int64  `json:"seen"`   // when it claimed last, in Unix microseconds
}

// settle applies a claim and returns its answer. It is the rule of all
// authorities: claim.lua does the same.
func (l *lease) settle(c Claim, limit int64, now time.Time) Answer {
	at := now.UnixMicro()
	h := l.Holders[c.Holder]
	before := h.Granted
	if c.Number > h.Number {
		h.Number = c.Number
		h.Granted = c.Holds
		l.Total += h.Granted - before
		if c.Wants > h.Granted {
			given := grant(c.Wants-h.Granted, limit, l.Total, l.present(c.Holder, at))
			h.Granted += given
			l.Total += given
			switch {
			case given > 0 && l.StarvedHolder == c.Holder:
				l.StarvedAt, l.ExhaustedAt = 0, 0
			case given == 0 && c.Starved:
				l.StarvedAt, l.StarvedHolder = at, c.Holder
				if l.ExhaustedAt == 0 {
					l.ExhaustedAt = at
				}
			}
		}
	}
	h.Seen = at
	l.Holders[c.Holder] = h
	if l.Total < limit {
		l.ExhaustedAt = 0
	}
	answer := Answer{Granted: h.Granted, Total: l.Total, Limit: limit}
	if l.ExhaustedAt != 0 {
		answer.ExhaustedAt = time.UnixMicro(l.ExhaustedAt)
	}
	answer.Reclaim = l.StarvedHolder != c.Holder && at-l.StarvedAt < reclaimFor.Microseconds()
	return answer
}

// present returns how many holders share what is left, the asking one included.
func (l *lease) present(asks string, at int64) int {
	n := 1
	for name, h := range l.Holders {
		if name != asks && at-h.Seen < presentFor.Microseconds() {
			n++
		}
	}
	return n
}

// grant returns how many units to add for a holder that wants so many more: at
// most half of an equal share of what is left, so that all holders get some until
// the end.
func grant(wants, limit, total int64, holders int) int64 {
	left := limit - total
	part := max(1, left/int64(2*max(1, holders)))
	return max(0, min(wants, part, left))
}
