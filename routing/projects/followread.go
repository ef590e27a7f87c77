package projects

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"time"
)

const (
	// A burst of changes counts as over after quiet without a change, or after
	// quietMost in all.
	quiet     = 50 * time.Millisecond
	quietMost = 500 * time.Millisecond
	// The pause after a read is restLeast, or restFactor times the time that the
	// store took to answer if that is more, up to restMost: so a stream of changes
	// does not keep the store busy. The time to build the projects does not count.
	// Content larger than restLarge bytes is read at most once a second.
	restLeast  = 250 * time.Millisecond
	restMost   = 2 * time.Second
	restFactor = 4
	restLarge  = 4 << 20
	// resyncEvery is the approximate interval of reads without a reported change: a
	// message may get lost.
	resyncEvery = time.Minute
)

// read reads the store when the watch says so, when it has not been read for a
// minute, and again after it could not be read.
func (f *Follower) read(ctx context.Context) {
	retry := newBackoff()
	next := time.NewTimer(resyncAfter())
	defer next.Stop()
	var rested time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-f.changed:
			f.gather(ctx)
		}
		sleep(ctx, time.Until(rested))
		f.forget()
		if ctx.Err() != nil {
			return
		}

		started := time.Now()
		size, took, err := f.sync(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		rested = now.Add(min(restMost, max(restLeast, restFactor*took)))
		if large := started.Add(time.Second); size > restLarge && rested.Before(large) {
			rested = large
		}
		if err != nil {
			f.update(func() { f.readErr = err })
			next.Reset(retry.next())
			continue
		}
		f.update(func() { f.readErr, f.state.Synced = nil, now })
		retry.reset()
		next.Reset(resyncAfter())
	}
}

// gather waits for the end of a burst of changes, so that it is read once.
func (f *Follower) gather(ctx context.Context) {
	end := time.Now().Add(quietMost)
	for {
		pause := time.NewTimer(min(quiet, time.Until(end)))
		select {
		case <-ctx.Done():
		case <-f.changed:
			pause.Stop()
			if time.Now().Before(end) {
				continue
			}
		case <-pause.C:
		}
		pause.Stop()
		return
	}
}

// forget takes back the signal of a change that the coming read sees anyway.
func (f *Follower) forget() {
	select {
	case <-f.changed:
	default:
	}
}

// resyncAfter is resyncEvery, a tenth more or less.
func resyncAfter() time.Duration {
	return resyncEvery*9/10 + rand.N(resyncEvery/5) // #nosec G404 -- spreads load, guards nothing
}

// fingerprint identifies the content of both hashes, so that the text need not be
// kept to detect changes. Its seed is random, so that no writer can construct two
// contents with the same one.
type fingerprint struct {
	seed   maphash.Seed
	size   int // bytes of all fields and values
	fields int
	sum    uint64 // whatever the order
}

func newFingerprint() fingerprint { return fingerprint{seed: maphash.MakeSeed()} }

// of returns the fingerprint of another content under the same seed.
func (p fingerprint) of(hashes ...map[string]string) fingerprint {
	next := fingerprint{seed: p.seed}
	var h maphash.Hash
	h.SetSeed(p.seed)
	for i, hash := range hashes {
		for field, value := range hash {
			h.Reset()
			_ = h.WriteByte(byte(i))
			maphash.WriteComparable(&h, len(field))
			_, _ = h.WriteString(field)
			_, _ = h.WriteString(value)
			next.sum += h.Sum64()
			next.fields++
			next.size += len(field) + len(value)
		}
	}
	return next
}

// backoff is the pause after a failure: it doubles up to five seconds, and half of
// it is random, so that gateways don't all retry at once.
type backoff struct{ wait time.Duration }

const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 5 * time.Second
)

func newBackoff() *backoff { return &backoff{wait: backoffFirst} }

func (b *backoff) reset() { b.wait = backoffFirst }

func (b *backoff) next() time.Duration {
	wait := b.wait
	b.wait = min(2*b.wait, backoffMost)
	return wait/2 + rand.N(wait/2) // #nosec G404 -- spreads load, guards nothing
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
