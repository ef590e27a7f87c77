package metering

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Usage is the sum of a subject in a region and a span of time, of one instance
// log.
type Usage struct {
	Subject
	Instance string // the instance log
	Region   string
	Span     Span
	Start    time.Time
	Sums
	Origin Origin
	AsOf   uint64 // the number of the last record of the log
}

// Usage returns all sums of this process's instance logs, up to the last record,
// sorted by organization, project, function, region and time, and then by all else:
// two calls without a record between them return the same.
func (l *Ledger) Usage() ([]Usage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.own.log.each(l.own.projection.add)
	if err != nil {
		return nil, err
	}
	var all []Usage
	for _, b := range l.logs() {
		all = append(all, b.usage()...)
	}
	slices.SortFunc(all, Usage.compare)
	return all, nil
}

// usage returns the sums of one instance log, in no order.
func (b *instanceLog) usage() []Usage {
	all := make([]Usage, 0, len(b.projection.sums))
	for key, sums := range b.projection.sums {
		all = append(all, Usage{
			Subject:  b.dictionary.lookup(key.subject),
			Instance: b.instance.id,
			Region:   b.dictionary.regionName(key.region),
			Span:     key.span,
			Start:    time.Unix(key.start, 0).UTC(),
			Sums:     sums.Sums,
			Origin:   b.dictionary.originOf(key.subject),
			AsOf:     b.projection.last,
		})
	}
	return all
}

// compare orders two sums, no two of which are equal in all that is compared.
func (u Usage) compare(other Usage) int {
	return cmp.Or(
		strings.Compare(u.Organization, other.Organization),
		strings.Compare(u.Project, other.Project),
		strings.Compare(u.Function, other.Function),
		strings.Compare(u.Region, other.Region),
		u.Start.Compare(other.Start),
		cmp.Compare(u.Span, other.Span),
		strings.Compare(u.Instance, other.Instance),
		u.Cycle.Anchor.Compare(other.Cycle.Anchor),
		strings.Compare(u.Cycle.Zone.String(), other.Cycle.Zone.String()),
		cmp.Compare(u.Origin.Form, other.Origin.Form),
		strings.Compare(u.Origin.Ledger, other.Origin.Ledger),
	)
}

// Orphans returns the ids of the instance logs that were taken over.
func (l *Ledger) Orphans() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, len(l.orphans))
	for i, b := range l.orphans {
		ids[i] = b.instance.id
	}
	return ids
}

// HasLog reports whether the directory has an instance log, whoever writes it.
func (l *Ledger) HasLog(instance string) bool {
	_, err := os.Stat(filepath.Join(l.config.Dir, "inst", instance))
	return !errors.Is(err, fs.ErrNotExist)
}

// Beside returns how many other processes count in the same directory now.
func (l *Ledger) Beside() (n int, err error) {
	names, err := durable.Entries(filepath.Join(l.config.Dir, "inst"), "")
	if err != nil {
		return 0, err
	}
	own := append(append(l.Orphans(), l.Copied()...), l.Instance())
	for _, name := range names {
		if slices.Contains(own, filepath.Base(name)) {
			continue
		}
		found, err := lockInstance(name)
		switch {
		case errors.Is(err, errLocked):
			n++
		case err != nil:
			return 0, err
		default: // nobody's: it is taken over in a while
			if err := found.close(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// SpentBy returns how many units an organization used in a billing period, by
// instance log.
func (l *Ledger) SpentBy(organization string, period Period) (map[string]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		return nil, err
	}
	by := make(map[string]uint64)
	for _, b := range l.logs() {
		by[b.instance.id] = b.projection.spent(organization, period)
	}
	return by, nil
}

// Used is how many units an organization used in a billing period, by one instance
// log.
type Used struct {
	Instance     string
	Organization string
	Period       Period
	Units        uint64
}

// UsedNow returns what every organization used in its current billing period.
func (l *Ledger) UsedNow() ([]Used, error) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		return nil, err
	}
	var all []Used
	for _, b := range l.logs() {
		seen := make(map[accountPeriod]bool)
		for key := range b.projection.sums {
			s := b.dictionary.lookup(key.subject)
			p := s.Cycle.At(now)
			of := accountPeriod{s.Organization, p.Start.Unix()}
			if n := b.projection.spent(s.Organization, p); n > 0 && !seen[of] {
				seen[of] = true
				all = append(all, Used{b.instance.id, s.Organization, p, n})
			}
		}
	}
	return all, nil
}

// MirroredIn stores the name of the place that sums are sent to, and reports
// whether it was the same before.
func (l *Ledger) MirroredIn(place string) (before bool, err error) {
	if l.own.checkpoint.marked() == place {
		return true, nil
	}
	return false, l.own.checkpoint.mark(place)
}
