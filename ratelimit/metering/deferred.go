package metering

import "time"

// unwritten is what was sent without a record, by the wish of an operator.
type unwritten struct {
	subject      Subject
	region       string
	period, hour int64 // starts, in seconds
}

// Later counts an invocation that cannot be recorded now, or takes it back with
// -1. It is recorded as soon as that can be done; the end of the process before
// that loses it.
func (l *Ledger) Later(s Subject, region string, at time.Time, n int) {
	key := unwritten{s, region, s.Cycle.At(at).Start.Unix(), at.Truncate(time.Hour).Unix()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.later == nil {
		l.later = make(map[unwritten]*waiting)
	}
	w := l.later[key]
	if w == nil {
		w = &waiting{at: at}
		l.later[key] = w
	}
	w.n += n
}

// waiting is how many invocations of a kind wait for their record, less those
// that must be taken back of what is recorded.
type waiting struct {
	at  time.Time // when the first was admitted
	n   int
	seq uint64 // of the last record, 0 without one
}

// takenBackFor is after how long nothing is taken back any more.
const takenBackFor = 2 * time.Hour

// Waiting returns how many invocations have no record yet.
func (l *Ledger) Waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.later {
		n += w.n
	}
	return n
}

// keepLater writes down what could not be. The caller holds mu.
func (l *Ledger) keepLater() error {
	now := l.config.Now()
	for key, w := range l.later {
		if w.n == 0 {
			if now.Sub(w.at) > takenBackFor || w.seq == 0 {
				delete(l.later, key)
			}
			continue
		}
		subject, err := l.Subject(key.subject)
		if err != nil {
			return err
		}
		region, err := l.Region(key.region)
		if err != nil {
			return err
		}
		r := Record{Type: TypeAdmitted, Region: region, At: w.at, Subject: uint32(subject), Units: uint32(max(w.n, -w.n))}
		if w.n < 0 {
			r.Type, r.Ref = TypeVoid, w.seq
		}
		if err := l.own.log.append(&r); err != nil {
			return err
		}
		w.n = 0
		if r.Type == TypeAdmitted {
			w.seq = r.Seq
		}
	}
	return nil
}
