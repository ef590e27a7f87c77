package quota

import (
	"strconv"
	"time"
)

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
	Grace         *keptGrace        `json:"grace,omitempty"`  // nil: it has not begun
}

// keptGrace is the grace of a lease: an age, and when it had that age.
type keptGrace struct {
	ID    string `json:"id"`
	Limit int64  `json:"limit"`          // in force when it began
	Age   int64  `json:"age"`            // in microseconds
	At    int64  `json:"at"`             // in Unix microseconds
	Boot  string `json:"boot,omitempty"` // the run of the machine; "" if Up is not known
	Up    int64  `json:"up,omitempty"`   // microseconds since that run began
}

// instant is a moment by the clock of an authority.
type instant struct {
	micro int64  // Unix microseconds, by a clock that may be set
	boot  string // names the run of the machine; "": up is not known
	up    int64  // microseconds since that run began: a clock that nobody sets
}

// instantOf returns a moment by a clock that may be set.
func instantOf(at time.Time) instant { return instant{micro: at.UnixMicro()} }

// instantOn returns a moment by a clock that may be set, and by the run of a machine.
func instantOn(at time.Time, run func() (boot string, up time.Duration)) instant {
	boot, up := run()
	return instant{micro: at.UnixMicro(), boot: boot, up: up.Microseconds()}
}

// graceOver is the age of a grace that is over, whatever was configured.
const graceOver = 100 * 365 * 24 * time.Hour

// advance sets the age to that of now.
func (g *keptGrace) advance(now instant) {
	switch passed := now.micro - g.At; {
	case g.Boot != "" && g.Boot == now.boot:
		g.Age += max(0, now.up-g.Up)
	case passed >= 0:
		g.Age += passed
	case g.Boot != "":
		// The machine was started again, and its clock set back: nobody knows for how long
		// it was off. A grace must not be longer than it was configured.
		g.Age = graceOver.Microseconds()
	}
	g.At, g.Boot, g.Up = now.micro, now.boot, now.up
}

// advanceGrace brings the grace to now, and takes over what a holder knows of it.
// limit is the one in force.
func (l *lease) advanceGrace(known Grace, limit int64, now instant) {
	if l.Grace != nil {
		l.Grace.advance(now)
	} else if l.ExhaustedAt != 0 && limit < noLimit { // written by a build that kept no graces
		l.setGrace(Grace{
			ID:    strconv.FormatInt(l.ExhaustedAt, 10),
			Limit: limit,
			Age:   time.Duration(max(0, now.micro-l.ExhaustedAt)) * time.Microsecond,
		}, now)
	}
	if known.ID != "" && (l.Grace == nil || known.prevails(l.Grace.grace())) {
		l.setGrace(known, now)
	}
}

// prevails reports whether what a holder knows of a grace takes the place of what an
// authority has.
func (g Grace) prevails(over Grace) bool {
	return g.Limit > over.Limit || g.Limit == over.Limit && g.Age > over.Age+graceSlack
}

// grace returns the grace at the moment of the last advance.
func (g *keptGrace) grace() Grace {
	return Grace{ID: g.ID, Limit: g.Limit, Age: time.Duration(g.Age) * time.Microsecond}
}

func (l *lease) setGrace(g Grace, now instant) { l.Grace = keep(g, now) }

// keep returns a grace as it is kept on a disk; nil if none began.
func keep(g Grace, now instant) *keptGrace {
	if g.ID == "" {
		return nil
	}
	return &keptGrace{
		ID:    g.ID,
		Limit: g.Limit,
		Age:   g.Age.Microseconds(),
		At:    now.micro,
		Boot:  now.boot,
		Up:    now.up,
	}
}

type holder struct {
	Granted int64  `json:"granted"`
	Number  uint64 `json:"number"` // of the latest claim
	Seen    int64  `json:"seen"`   // when it claimed last, in Unix microseconds
}

// settle applies a claim and returns its answer. It is the rule of all
// authorities: claim.lua does the same.
func (l *lease) settle(c Claim, limit int64, now instant) Answer {
	at := now.micro
	l.advanceGrace(c.Grace, limit, now)
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
			case given > 0:
				l.ExhaustedAt = 0
				if l.StarvedHolder == c.Holder {
					l.StarvedAt = 0
				}
			case c.Starved:
				l.StarvedAt, l.StarvedHolder = at, c.Holder
				// Under a higher limit of which nothing was left ever, the grace goes on.
				if l.Grace == nil || limit > l.Grace.Limit && l.ExhaustedAt == 0 {
					l.setGrace(Grace{ID: strconv.FormatInt(at, 10), Limit: limit}, now)
				}
				if l.ExhaustedAt == 0 {
					l.ExhaustedAt = at
				}
			}
		}
	}
	h.Seen = at
	l.Holders[c.Holder] = h
	if limit < noLimit && l.Total < limit {
		l.ExhaustedAt = 0
	}
	answer := Answer{
		Granted:   h.Granted,
		Total:     l.Total,
		Limit:     limit,
		Exhausted: l.ExhaustedAt != 0,
		Number:    h.Number,
	}
	if g := l.Grace; g != nil {
		answer.Grace = g.grace()
	}
	since := at - l.StarvedAt // negative: the clock was set back, and the next starved claim says more
	answer.Reclaim = l.StarvedHolder != c.Holder && since >= 0 && since < reclaimFor.Microseconds()
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
