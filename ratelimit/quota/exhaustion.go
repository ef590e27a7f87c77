package quota

import "time"

// exhaustion says that the last answer had nothing for a starved holder. It never
// changes: who reads it once sees one answer, not parts of two.
type exhaustion struct {
	limit int64         // in force then
	grace time.Duration // when the grace began, as Ledger.Elapsed had it
}

// knownGrace is the grace of a window as this process has heard of it.
type knownGrace struct {
	id    string        // "": of none
	limit int64         // in force when it began
	at    time.Duration // when it began, as Ledger.Elapsed had it; negative: before the ledger was opened
}

// hear takes over the answer to a claim that was sent at a reading of Ledger.Elapsed.
// The age counts from then on, not from when the answer came: a grace may be shorter
// by what a call takes, and is never longer. Of a grace that is known already the age
// grows by the clock of this process, which nobody sets.
func (k *knownGrace) hear(g Grace, sent time.Duration) {
	at := sent - g.Age
	switch {
	case g.ID == "", g.ID == k.id && g.Limit == k.limit:
	case k.id == "", g.Limit > k.limit, g.Limit == k.limit && at < k.at:
		*k = knownGrace{id: g.ID, limit: g.Limit, at: at}
	}
}

// from returns the grace for a claim that is sent at a reading of Ledger.Elapsed.
func (k *knownGrace) from(now time.Duration) Grace {
	return Grace{ID: k.id, Limit: k.limit, Age: max(0, now-k.at)}
}

// exhaustionBy returns what an answer says; nil if something is left, or if that is
// not known. The caller holds the claim token, and grace has heard the answer.
func (w *window) exhaustionBy(answer *Answer) *exhaustion {
	if !answer.Exhausted || answer.Recovering {
		return nil
	}
	return &exhaustion{limit: answer.Limit, grace: w.grace.at}
}

// standing is what a window without grants has to say to a call.
type standing int

const (
	standingOpen  standing = iota // ask the authority
	standingGrace                 // nothing is left, and the grace goes on
	standingOver                  // nothing is left
)

// standing returns what is known of a window under a limit. It reads the exhaustion
// once: an answer that arrives meanwhile is not mixed with the one before.
func (m *Manager) standing(w *window, allowance *Allowance, limit int64) standing {
	e := w.exhausted.Load()
	switch {
	case e == nil, e.limit != limit, w.unspent.Load() > 0:
		return standingOpen
	case m.ledger.Elapsed()-e.grace < allowance.Grace:
		return standingGrace
	}
	return standingOver
}

// retryAfter settles when another claim makes sense after so many in a row that
// failed or brought nothing.
func (w *window) retryAfter(now time.Duration, vain int) {
	w.retryAt.Store(int64(now + min(maxRetryDelay, maintainEvery<<min(vain, 10))))
}

// retryDue reports whether another claim makes sense.
func (m *Manager) retryDue(w *window) bool { return int64(m.ledger.Elapsed()) >= w.retryAt.Load() }

// countFrom has all claims from now on have numbers above n.
func (m *Manager) countFrom(n uint64) {
	for {
		last := m.lastNumber.Load()
		if last >= n || m.lastNumber.CompareAndSwap(last, n) {
			return
		}
	}
}
