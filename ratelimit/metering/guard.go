package metering

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
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
		if l.own.log.gone() != nil {
			continue // what is there is of others
		}
		if err := errors.Join(l.NoteDatabases(), l.takeOver()); err != nil {
			l.config.Trouble(err)
		}
	}
}

// takeOver locks and opens the instance logs that had no process for
// takeOverAfter.
func (l *Ledger) takeOver() error {
	names, err := durable.Entries(filepath.Join(l.config.Dir, "inst"), "")
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		id := filepath.Base(name)
		if id == l.Instance() || slices.Contains(l.Orphans(), id) {
			continue
		}
		found, err := takeInstance(name)
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
		errs = append(errs, b.aside, b.note())
		l.mu.Lock()
		b.projection.mirrored(l.mirrored, now)
		l.orphans = append(l.orphans, b)
		l.part(l.mirrored)
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

// checkDatabases returns an error if a database is missing that a log says there was.
func (l *Ledger) checkDatabases() error {
	for _, b := range l.logs() {
		for _, name := range b.checkpoint.known() {
			if path := filepath.Join(l.config.Dir, name); !there(path) {
				return &durable.DamageError{File: path, Offset: -1, What: bbolt.Missing}
			}
		}
	}
	return l.noteDatabases()
}

// NoteDatabases notes which databases there are, so that the next Open knows what is
// missing. Whoever creates one calls it before anything is written to it.
func (l *Ledger) NoteDatabases() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noteDatabases()
}

// noteDatabases notes which databases there are. One that is missing stays noted.
func (l *Ledger) noteDatabases() error {
	known := l.own.checkpoint.known()
	var now []string
	for _, name := range databases {
		if slices.Contains(known, name) || there(filepath.Join(l.config.Dir, name)) {
			now = append(now, name)
		}
	}
	return l.own.checkpoint.know(now)
}

// lookEvery is how often watch looks at the directory.
const lookEvery = time.Second

// watch looks again and again whether the directory is what it was, until Close. A process
// goes on writing to files that were removed, and nobody would notice before it starts
// again.
func (l *Ledger) watch() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			_ = l.InPlace() // what it finds is kept, and told by step
		}
	}
}

// placesOf returns what must stay where it is while an instance log is in use, the
// directory of the ledger first.
func placesOf(dir string, b *instanceLog) (places []durable.Place, err error) {
	own := b.instance.dir
	for _, path := range []string{dir, own, filepath.Join(own, "lock"), filepath.Join(own, dictionaryName), filepath.Join(own, checkpointName), b.log.dir} {
		place, err := durable.PlaceOf(path)
		if err != nil {
			return nil, err
		}
		places = append(places, place)
	}
	return places, nil
}

// InPlace looks whether the files of the ledger are still those that it writes. If not,
// it returns why, and nothing is recorded until they are: the error wraps ErrUnavailable.
func (l *Ledger) InPlace() error {
	away, readOnly := l.look(), l.checkWritable()
	l.own.log.leave(away)
	l.mu.Lock()
	changed := (readOnly == nil) != (l.readOnly == nil)
	l.readOnly = readOnly
	l.mu.Unlock()
	if changed && away == nil {
		l.config.Trouble(readOnly)
	}
	return l.own.log.gone()
}

func (l *Ledger) look() error {
	for i := range l.places {
		err := l.places[i].Check()
		switch {
		case err == nil:
		case i > 0:
			return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrRemoved, err)
		case errors.Is(err, durable.ErrMoved):
			return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrReplaced, err)
		default:
			return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrGone, err)
		}
	}
	switch err := l.own.log.inPlace(); {
	case errors.Is(err, ErrCut):
		return l.own.log.cutOff(err)
	case err != nil:
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrRemoved, err)
	}
	return nil
}

func (l *Ledger) checkWritable() error {
	for _, dir := range []string{l.config.Dir, l.own.instance.dir, l.own.log.dir} {
		if err := l.mayWrite(dir); errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES) {
			return fmt.Errorf("%w: %s: %w", ErrReadOnly, dir, err)
		}
	}
	return nil
}

// closedSegment takes no records: append asks rotate then.
func closedSegment() *Segment { return new(Segment) }

// leave makes append fail while why is not nil. It costs calls nothing: the active
// segment is another meanwhile, which has no room.
func (l *log) leave(why error) {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	l.leaveLocked(why)
}

// leaveLocked is leave; the caller holds rotating.
func (l *log) leaveLocked(why error) {
	if l.lost != nil {
		why = l.lost
	}
	switch {
	case l.closed:
	case why != nil && l.away == nil:
		l.active.Store(closedSegment())
	case why == nil && l.away != nil:
		l.active.Store(l.open[len(l.open)-1])
	}
	l.away = why
}

// cutOff has append fail for good, since a file in use has lost its end: records that were
// in it are gone, and if it grows again there is a gap. It returns why.
func (l *log) cutOff(why error) error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if l.lost == nil {
		l.lost = fmt.Errorf("%w: %w", ErrUnavailable, why)
	}
	l.leaveLocked(l.lost)
	return l.lost
}

// gone returns why nothing is appended.
func (l *log) gone() error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	return l.away
}

// last returns the segment in use.
func (l *log) last() *Segment {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	return l.open[len(l.open)-1]
}

// inPlace returns an error if the name of the segment in use is that of another file, or if
// one that is mapped has lost its end.
func (l *log) inPlace() error {
	if err := l.last().place.Check(); err != nil {
		return err
	}
	l.rotating.Lock()
	defer l.rotating.Unlock()
	for _, s := range l.open {
		if err := s.whole(); errors.Is(err, ErrCut) {
			return err
		}
	}
	if l.next != nil {
		if err := l.next.whole(); errors.Is(err, ErrCut) {
			return err
		}
	}
	return nil
}

// databases are the files of others in the directory of the ledger. One that is missing is
// damaged; told.db is made again of billing.db, where package usage sees to it that
// nothing is lost by that.
var (
	databases = []string{"billing.db", "quotas.db"}
	inspected = append(slices.Clone(databases), "told.db")
)

// databaseLosses say what it means that a part of a database is lost.
var databaseLosses = map[string]string{
	"billing.db": "the lines that stood there: those whose hours the ledger has are made again of its sums, with revisions above all earlier ones; those that were not final get the prices of today",
	"quotas.db":  "what stood there: limits of `quota set` have to be set again; what gateways were granted is made again of what they used",
	"told.db":    "nothing, if billing.db is whole; otherwise what stood there: services are told it again, and who adds up differences counts those hours twice",
}

// lossOf says what it means that a part of the database is lost that has a path.
func lossOf(path string) string {
	loss := databaseLosses[filepath.Base(path)]
	switch {
	case filepath.Base(path) != "billing.db":
		return loss
	case there(filepath.Join(filepath.Dir(path), "told.db")):
		return loss + ". Services are told what differs from what told.db says that they know: where that is missing, damaged or older too, they are told it again"
	case there(filepath.Join(filepath.Dir(path), sharedName)):
		return loss + ". Services are told what differs from what Redis says that they know"
	}
	return loss + ". told.db is missing: what services were told is lost, too, and they are told everything again: who adds up differences counts those hours twice. Restore both from one copy"
}

// there reports whether a file is there and not empty.
func there(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}

// missingDatabase begins a database anew that is missing.
func missingDatabase(path string, mend bool) ([]Finding, error) {
	f := spot(path, -1, bbolt.Missing).losing(lossOf(path)).
		mending("restore it from a copy; without one, " + durable.Mending + ", which begins it anew")
	f.done = "it was begun anew"
	if !mend {
		return []Finding{f}, nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: checkpointWait})
	if err == nil {
		err = db.Close()
	}
	return []Finding{f.mended()}, err
}

// inspectDatabase looks at billing.db, quotas.db or told.db. known says that it was in use.
func inspectDatabase(path string, known, mend bool) ([]Finding, error) {
	if known && !there(path) {
		return missingDatabase(path, mend)
	}
	places, err := bbolt.Verify(path, checkpointWait)
	if err != nil || len(places) == 0 {
		return nil, err
	}
	found := make([]Finding, len(places))
	for i, p := range places {
		found[i] = Finding{
			File:   path,
			Offset: p.Offset,
			What:   p.What,
			Remedy: durable.Mending + ", which copies what is whole into a new file",
			Lost:   lossOf(path),
			done:   "what is whole was copied into a new file",
		}
	}
	if !mend {
		return found, nil
	}
	whole := filepath.Join(filepath.Dir(path), ".salvaged-"+filepath.Base(path))
	if err := os.RemoveAll(whole); err != nil {
		return found, err
	}
	if _, err := bbolt.Salvage(path, whole, checkpointWait); err != nil {
		return found, err
	}
	if err := noteSalvage(whole); err != nil {
		return found, err
	}
	kept, err := durable.SetAside(path)
	if err != nil {
		return found, err
	}
	for i := range found {
		found[i].Kept = kept
		found[i] = found[i].mended()
	}
	return found, errors.Join(os.Rename(whole, path), durable.SyncDirectory(filepath.Dir(path)))
}

// noteSalvage notes in a database that it has only a part of what it had. Package usage
// begins revisions above all earlier ones then.
func noteSalvage(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: checkpointWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte("salvaged"))
		return err
	})
	return errors.Join(err, db.Close())
}
