package metering

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// disk is what of a log is on the disk: of each file what was synced, and zeros.
type disk struct {
	mu    sync.Mutex
	files map[uint64][]byte // by the number of the first record
}

func (d *disk) flush(data []byte) error {
	err := syncMap(data)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[binary.LittleEndian.Uint64(data[8:])] = bytes.Clone(data)
	return err
}

// losePower leaves a directory as a machine would that ends: of the log there is what was synced.
func (d *disk) losePower(t *testing.T, l *Ledger) (dir string) {
	t.Helper()
	l.mu.Lock() // nothing is synced any more
	defer l.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	dir = t.TempDir()
	from, to := l.own.instance.dir, filepath.Join(dir, "inst", l.Instance())
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	paths, err := segmentFiles(filepath.Join(to, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kept := d.files[binary.LittleEndian.Uint64(now[8:])]
		if len(kept) < headerSize {
			kept = now[:headerSize]
		}
		clear(now[copy(now, kept):])
		if err := os.WriteFile(path, now, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// With `sync strict` a machine that loses power has every invocation that was sent; with
// `sync group` all but those of the last moment.
func TestLedgerOutlivesPowerLoss(t *testing.T) {
	for _, mode := range []Sync{SyncStrict, SyncGroup} {
		t.Run(string(mode), func(t *testing.T) {
			l := openLedger(t, t.TempDir())
			defer closeLedger(t, l)
			l.SetSync(mode)
			d := &disk{files: make(map[uint64][]byte)}
			l.mu.Lock()
			l.own.log.flush = d.flush
			l.own.log.active.Load().flush = d.flush
			l.mu.Unlock()
			s, r := numbers(t, l, "acme", "eu")
			var sent atomic.Int64
			stop := make(chan struct{})
			var running sync.WaitGroup
			for range 8 {
				running.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := l.Admit(Invocation{Subject: s, Region: r, At: now}); err != nil {
							t.Error(err)
							return
						}
						sent.Add(1)
						if mode == SyncGroup {
							<-time.After(20 * time.Microsecond)
						}
					}
				})
			}
			for range 5 {
				before := sent.Load()
				awaitSynced(t, l, uint64(before))
				if mode == SyncStrict {
					before = sent.Load()
				}
				dir := d.losePower(t, l)
				after := openLedger(t, dir)
				if got := int64(monthly(t, after, "acme").Invocations); got < before || got == 0 {
					t.Errorf("%d are there, %d were sent", got, before)
				}
				closeLedger(t, after)
			}
			close(stop)
			running.Wait()
		})
	}
}

// awaitSynced waits until records up to seq are on the disk, by what the ledger says.
func awaitSynced(t *testing.T, l *Ledger, seq uint64) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(groupEvery/10)
	defer tick.Stop()
	for {
		l.mu.Lock()
		synced := l.synced
		l.mu.Unlock()
		if synced > 0 && synced >= seq {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("record %d is not synced, the last that is is %d", seq, synced)
		case <-tick.C:
		}
	}
}

// With `sync none` a machine that loses power has all that is in its sums: the log is on the disk before they are. What was
// recorded after them is lost, and what is recorded next is counted.
func TestSumsAreNotAheadOfTheLog(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	l.SetSync(SyncNone)
	d := &disk{files: make(map[uint64][]byte)}
	l.mu.Lock()
	l.own.log.flush = d.flush
	l.own.log.active.Load().flush = d.flush
	l.mu.Unlock()
	s, r := numbers(t, l, "acme", "eu")
	for round := range 3 {
		admit(t, l, s, r, l.Now())
		l.mu.Lock()
		_, err := l.own.log.each(l.own.projection.add)
		err = errors.Join(err, l.save(l.own, l.config.Now()))
		l.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		saved := monthly(t, l, "acme").Invocations
		for range 5 {
			admit(t, l, s, r, l.Now())
		}
		dir := d.losePower(t, l)
		otherBoot(t, filepath.Join(dir, "inst", l.Instance(), checkpointName))
		for more := range uint64(2) {
			after := openLedger(t, dir)
			if n := monthly(t, after, "acme").Invocations; n != saved+more {
				t.Errorf("round %d: %d are there, %d were in the sums", round, n, saved+more)
			}
			s, r := numbers(t, after, "acme", "eu")
			admit(t, after, s, r, after.Now())
			closeLedger(t, after)
		}
	}
}
