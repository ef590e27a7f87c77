package invocations

import (
	"context"
	"fmt"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Follower tells of invocations as they end, and of refused requests. One goroutine uses it.
type Follower struct {
	query   Query
	batch   metering.Batch
	next    map[string]uint64 // the record that is read next, by instance log
	waited  map[string]int    // how often it was not there yet, while later ones were
	shown   map[shownKey]bool // what the first answer had
	refused positions
}

// FindingLine is the line in the answer of a follower that says what cannot be read.
type FindingLine struct {
	Finding metering.Finding `json:"finding"`
}

type shownKey struct {
	instance string
	record   uint64
}

// Follow answers a question as List does, and returns a Follower for what comes after it.
func Follow(ctx context.Context, logs []metering.RecordLog, refused *Refusals, q Query) (*Follower, Answer, error) {
	end, err := begin(ctx)
	if err != nil {
		return nil, Answer{}, err
	}
	defer end()
	f := &Follower{
		query:  q,
		next:   make(map[string]uint64),
		waited: make(map[string]int),
		shown:  make(map[shownKey]bool),
	}
	if refused != nil {
		f.refused = refused.position()
	}
	for i := range logs {
		f.next[logs[i].Instance] = f.endOf(&logs[i])
	}
	kept, err := list(ctx, logs, refused, &q)
	if err != nil {
		return nil, Answer{}, err
	}
	for i := range kept.entries {
		if e := &kept.entries[i]; e.refused == nil && e.ended {
			f.shown[shownKey{e.log.Instance, e.record}] = true
		}
	}
	f.batch = metering.Batch{} // which has room for a whole file
	return f, kept.answer, nil
}

// endOf returns the number after the last record of a log.
func (f *Follower) endOf(log *metering.RecordLog) uint64 {
	files, _ := log.Files() // what is wrong with them, the list says
	for i := len(files) - 1; i >= 0; i-- {
		_ = files[i].Read(&f.batch, 0, false)
		if n := len(f.batch.Types); n > 0 {
			return f.batch.First + uint64(n)
		}
	}
	return 1
}

// patience is how many calls of Next wait for a record whose number was taken and that
// is not there, while later ones are.
const patience = 8

// Next returns what ended or was refused since the last call, in the order in which it
// was recorded, and what cannot be read.
func (f *Follower) Next(logs []metering.RecordLog, refused *Refusals) (all []Invocation, found []metering.Finding) {
	for i := range logs {
		log := &logs[i]
		if f.next[log.Instance] == 0 {
			f.next[log.Instance] = 1 // it is new
		}
		of, bad := f.read(log)
		all, found = append(all, of...), append(found, bad...)
	}
	if refused == nil {
		return all, found
	}
	for _, r := range refused.after(&f.refused) {
		if len(logs) > 0 {
			r.Gateway = logs[0].Instance
		}
		if f.query.has(r) {
			all = append(all, r.invocation())
		}
	}
	return all, found
}

// read reads the new records of a log.
func (f *Follower) read(log *metering.RecordLog) (all []Invocation, found []metering.Finding) {
	files, _ := log.Files()
	match := names{query: &f.query, log: log}
	for i := range files {
		file := &files[i]
		next := f.next[log.Instance]
		if file.Next != 0 && file.Next <= next {
			continue
		}
		bad := file.Read(&f.batch, next, false)
		b := &f.batch
		begin := 0
		if next > b.First {
			begin = int(min(next-b.First, uint64(len(b.Types))))
		}
		for j := begin; j < len(b.Types); j++ {
			if b.Types[j] == 0 && f.waited[log.Instance] < patience {
				f.waited[log.Instance]++
				return all, found // it is being written
			}
			f.waited[log.Instance] = 0
			f.next[log.Instance] = b.First + uint64(j) + 1
			if b.Types[j] == metering.TypeDone && f.wants(log, b, j, &match) {
				e := entryOf(log, b, j)
				all = append(all, e.invocation())
			}
		}
		found = append(found, bad...)
		if file.Next != 0 && len(bad) > 0 && f.next[log.Instance] < file.Next && i+1 < len(files) && written(&files[i+1], &f.batch) {
			found = append(found, metering.Finding{
				File:   file.Path,
				Offset: -1,
				What:   fmt.Sprintf("records %d to %d are left out", f.next[log.Instance], file.Next-1),
				Remedy: "`edgegate usage verify` says what is damaged",
			})
			f.next[log.Instance] = file.Next
		}
		if f.next[log.Instance] < file.Next {
			return all, found // more will be written to this file
		}
	}
	return all, found
}

// written reports whether a file has records.
func written(file *metering.RecordFile, b *metering.Batch) bool {
	_ = file.Read(b, 0, false)
	return len(b.Types) > 0
}

// wants reports whether an end is asked for, and not one that the first answer had.
func (f *Follower) wants(log *metering.RecordLog, b *metering.Batch, i int, match *names) bool {
	if key := (shownKey{log.Instance, b.Refs[i]}); f.shown[key] {
		delete(f.shown, key)
		return false
	}
	since, until := f.query.span()
	took := time.Duration(b.Durations[i]) * time.Microsecond
	return b.At[i] >= since && b.At[i] < until && f.query.matches(int(b.Statuses[i]), took) && match.has(b.Subjects[i], b.Regions[i])
}
