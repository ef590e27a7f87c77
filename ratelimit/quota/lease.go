package quota

import (
	"time"
)

const (
	// reclaimFor is how long a holder without units keeps others from holding on
	// to theirs, after it asked.
	reclaimFor = 3 * time.Second
	// presentFor is how long a holder counts after its last claim.
	presentFor = 15 * time.Second
	// embeddedWait bounds the wait for another process that has the file.
	embeddedWait = time.Second
)

// lease is what is known of one organization in one period.
type lease struct {
	Total         int64             `json:"total"`
	Holders       map[string]holder `json:"holders"`
	Since         int64             `json:"since,omitempty"`  // when nothing was left, in microseconds
	StarvedAt     int64             `json:"needed,omitempty"` // when a starved holder last got nothing, in microseconds
	StarvedHolder string            `json:"needy,omitempty"`  // which holder that was
}

type holder struct {
	Granted int64  `json:"granted"`
	Number  uint64 `json:"number"`
	Seen    int64  `json:"seen"` // in microseconds
}

// settle is a claim's effect. It is the rule that every authority follows.
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
				l.StarvedAt, l.Since = 0, 0
			case given == 0 && c.Starved:
				l.StarvedAt, l.StarvedHolder = at, c.Holder
				if l.Since == 0 {
					l.Since = at
				}
			}
		}
	}
	h.Seen = at
	l.Holders[c.Holder] = h
	if l.Total < limit {
		l.Since = 0
	}
	answer := Answer{Granted: h.Granted, Total: l.Total, Limit: limit}
	if l.Since != 0 {
		answer.Since = time.UnixMicro(l.Since)
	}
	answer.Reclaim = l.StarvedHolder != c.Holder && at-l.StarvedAt < reclaimFor.Microseconds()
	return answer
}

// present returns how many holders there are, with the one that asks.
func (l *lease) present(asks string, at int64) int {
	n := 1
	for name, h := range l.Holders {
		if name != asks && at-h.Seen < presentFor.Microseconds() {
			n++
		}
	}
	return n
}

// grant returns how many units to add to a holder's that wants more. Each time
// at most a part of what is left, so that all holders get some until the end.
func grant(wants, limit, total int64, holders int) int64 {
	left := limit - total
	part := max(1, left/int64(2*max(1, holders)))
	return max(0, min(wants, part, left))
}
