package metering

import (
	"errors"
	"path/filepath"
	"slices"
	"time"
)

const (
	// takeOverEvery is how often guard looks for instance logs without a process.
	takeOverEvery = 10 * time.Second
	// takeOverAfter is how long an instance log must have been without a process: one
	// that is restarted continues its own.
	takeOverAfter = 30 * time.Second
)

// guard takes over instance logs whose processes ended, until Close.
func (l *Ledger) guard() {
	tick := time.NewTicker(takeOverEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		if err := l.takeOver(); err != nil {
			l.config.Trouble(err)
		}
	}
}

// takeOver locks and opens the instance logs that had no process for
// takeOverAfter.
func (l *Ledger) takeOver() error {
	names, err := filepath.Glob(filepath.Join(l.config.Dir, "inst", "*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		id := filepath.Base(name)
		if id == l.Instance() || slices.Contains(l.Orphans(), id) {
			continue
		}
		found, err := lockInstance(name)
		if err != nil {
			delete(l.free, id)
			if !errors.Is(err, errLocked) {
				errs = append(errs, err)
			}
			continue
		}
		now := l.config.Now()
		since, seen := l.free[id]
		if !seen {
			since = now
			l.free[id] = now
		}
		if now.Sub(since) < takeOverAfter {
			errs = append(errs, found.close())
			continue
		}
		delete(l.free, id)
		b, err := openInstanceLog(found, l.Origin().Ledger, l.config.Now)
		if err != nil {
			errs = append(errs, errors.Join(err, found.close()))
			continue
		}
		errs = append(errs, b.aside)
		l.mu.Lock()
		b.projection.mirrored(l.mirrored, now)
		l.orphans = append(l.orphans, b)
		l.mu.Unlock()
	}
	return errors.Join(errs...)
}

// SetAside says which damaged files Open set aside, and why. Nothing that was counted
// is missing for that.
func (l *Ledger) SetAside() (all []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.logs() {
		if b.aside != nil {
			all = append(all, b.aside)
		}
	}
	return all
}
