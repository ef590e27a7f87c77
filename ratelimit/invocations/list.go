package invocations

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Answer has the invocations that were asked for.
type Answer struct {
	Invocations []Invocation `json:"invocations"` // the latest first
	Since       *time.Time   `json:"since"`       // from when on they were asked for; null: from the first record on
	// When the oldest record was made, if all were read; otherwise null.
	RecordsFrom *time.Time `json:"records_from"`
	// Since when all refused requests are known; null if none are kept.
	RefusalsFrom *time.Time         `json:"refusals_from"`
	Read         uint64             `json:"read"`     // how many records were read
	Findings     []metering.Finding `json:"findings"` // what could not be read
}

// reading lets one question at a time read: its memory is that of the largest file.
var reading = make(chan struct{}, 1)

// begin waits until no other question reads. Call end then.
func begin(ctx context.Context) (end func(), err error) {
	select {
	case reading <- struct{}{}:
		return func() { <-reading }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// List answers a question from the records of logs, and from refused requests; nil: none.
// A file that is damaged is left out and said in Findings. The error is that of ctx.
func List(ctx context.Context, logs []metering.RecordLog, refused *Refusals, q Query) (Answer, error) {
	end, err := begin(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer end()
	kept, err := list(ctx, logs, refused, &q)
	if err != nil {
		return Answer{}, err
	}
	return kept.answer, nil
}

func list(ctx context.Context, logs []metering.RecordLog, refused *Refusals, q *Query) (*latest, error) {
	kept := &latest{limit: q.Limit}
	kept.answer.Findings = []metering.Finding{}
	if !q.Since.IsZero() {
		since := q.Since.UTC()
		kept.answer.Since = &since
	}
	if refused != nil {
		since := refused.since()
		kept.answer.RefusalsFrom = &since
		for _, r := range refused.after(new(positions)) {
			if q.has(r) {
				if len(logs) > 0 {
					r.Gateway = logs[0].Instance
				}
				kept.add(entry{at: r.At.UnixMicro(), refused: r})
			}
		}
	}
	oldest, all := int64(1<<63-1), true
	var b metering.Batch
	for i := range logs {
		w := walk{
			log:   &logs[i],
			query: q,
			batch: &b,
			into:  kept,
			names: names{query: q, log: &logs[i]},
		}
		reached, err := w.run(ctx)
		if err != nil {
			return nil, err
		}
		all = all && reached
		if w.oldest != 0 {
			oldest = min(oldest, w.oldest)
		}
	}
	if all && oldest != 1<<63-1 {
		from := time.UnixMicro(oldest).UTC()
		kept.answer.RecordsFrom = &from
	}
	kept.finish()
	return kept, nil
}

// slack is how much later an admission may stand in the log than one of the same time,
// in microseconds: calls read the clock before they write.
const slack = int64(time.Minute / time.Microsecond)

// walk reads a log from its end, until no earlier record can belong to the answer.
type walk struct {
	log   *metering.RecordLog
	query *Query
	batch *metering.Batch
	into  *latest
	names names

	// ended are the admissions that have an end in a later file, and none of their own was
	// met yet: as many as ran when the later file began.
	ended  map[uint64]bool
	oldest int64 // the earliest time of a record, in Unix microseconds; 0: there is none
	lost   uint64
}

// run reports whether it came to the first record.
func (w *walk) run(ctx context.Context) (reached bool, err error) {
	w.ended = make(map[uint64]bool)
	files, found := w.log.Files()
	w.into.answer.Findings = append(w.into.answer.Findings, found...)
	full := false
	for i := len(files) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		found := files[i].Read(w.batch, 0, full)
		w.into.answer.Findings = append(w.into.answer.Findings, found...)
		full = full || len(w.batch.Types) > 0
		w.into.answer.Read += uint64(len(w.batch.Types))
		if !w.file() {
			return false, nil
		}
	}
	if w.lost > 0 {
		w.into.answer.Findings = append(w.into.answer.Findings, lostRecords(w.log, w.lost))
	}
	return true, nil
}

// lostRecords is the finding that records were lost before.
func lostRecords(log *metering.RecordLog, n uint64) metering.Finding {
	return metering.Finding{
		File:   log.Instance,
		Offset: -1,
		What:   fmt.Sprintf("%d records of this log were lost earlier: what they said is not known", n),
		Remedy: "none is needed; restore a copy of the ledger from before to see them",
	}
}

// file takes what is asked for from the batch, from its end. It reports whether earlier
// files may have more.
func (w *walk) file() bool {
	b := w.batch
	since, until := w.query.span()
	for i, kind := range slices.Backward(b.Types) {
		switch kind {
		case metering.TypeDone:
			w.endOf(b.Refs[i])
			if b.At[i] >= since && b.At[i] < until && w.query.matches(int(b.Statuses[i]), time.Duration(b.Durations[i])*time.Microsecond) &&
				w.names.has(b.Subjects[i], b.Regions[i]) {
				w.into.add(entryOf(w.log, b, i))
			}
		case metering.TypeVoid:
			if b.Refs[i] != 0 && b.Units[i] == 1 {
				w.endOf(b.Refs[i])
			}
		case metering.TypeAdmitted:
			w.oldest = b.At[i]
			if b.At[i]+slack < since || b.At[i]+slack < w.into.worst() {
				return false
			}
			w.admitted(i, since, until)
		case metering.TypeDead:
			if b.Flags[i]&metering.FlagLost != 0 {
				w.lost++
			}
		case metering.TypeRejected, metering.TypeClockStep, metering.TypeCut, metering.TypeUnreadable:
		}
	}
	return true
}

// endOf notes that an admission has an end.
func (w *walk) endOf(ref uint64) {
	if b := w.batch; ref >= b.First && ref-b.First < uint64(len(b.Types)) {
		if i := ref - b.First; b.Types[i] == metering.TypeAdmitted {
			b.Flags[i] |= hasEnd
		}
		return
	}
	w.ended[ref] = true
}

// hasEnd is set in the flags of an admission in a batch. No record has it.
const hasEnd = 128

// admitted takes the admission of an invocation that has no end: it runs, or its gateway
// stopped first.
func (w *walk) admitted(i int, since, until int64) {
	b := w.batch
	if seq := b.First + uint64(i); w.ended[seq] {
		delete(w.ended, seq)
		return
	}
	if b.Flags[i]&(hasEnd|metering.FlagUnsent) != 0 || w.query.ended() || b.At[i] < since || b.At[i] >= until {
		return
	}
	if w.names.has(b.Subjects[i], b.Regions[i]) {
		w.into.add(entryOf(w.log, b, i))
	}
}

// latest keeps the latest entries, as many as are asked for. It is a heap with the
// earliest one first.
type latest struct {
	limit   int
	entries []entry
	answer  Answer
}

func (e *entry) compare(other *entry) int {
	return cmp.Or(cmp.Compare(e.at, other.at), cmp.Compare(e.record, other.record))
}

func (l *latest) Len() int           { return len(l.entries) }
func (l *latest) Less(i, j int) bool { return l.entries[i].compare(&l.entries[j]) < 0 }
func (l *latest) Swap(i, j int)      { l.entries[i], l.entries[j] = l.entries[j], l.entries[i] }
func (l *latest) Push(e any)         { l.entries = append(l.entries, e.(entry)) }
func (l *latest) Pop() any {
	last := l.entries[len(l.entries)-1]
	l.entries = l.entries[:len(l.entries)-1]
	return last
}

// worst returns the time that an entry must have at least to be kept.
func (l *latest) worst() int64 {
	if len(l.entries) < l.limit || len(l.entries) == 0 {
		return -1 << 63
	}
	return l.entries[0].at
}

func (l *latest) add(e entry) {
	switch {
	case len(l.entries) < l.limit:
		heap.Push(l, e)
	case l.limit > 0 && e.compare(&l.entries[0]) > 0:
		l.entries[0] = e
		heap.Fix(l, 0)
	}
}

// finish makes the answer.
func (l *latest) finish() {
	slices.SortFunc(l.entries, func(a, b entry) int { return b.compare(&a) })
	l.answer.Invocations = make([]Invocation, len(l.entries))
	for i := range l.entries {
		l.answer.Invocations[i] = l.entries[i].invocation()
	}
}
