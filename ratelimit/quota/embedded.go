package quota

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// embeddedWait bounds the wait for a process that has the file open.
const embeddedWait = time.Second

// The buckets of quotas.db: leases in JSON by `PERIOD|ORGANIZATION`, and overrides
// as eight bytes, big-endian, by organization, with their versions, which those that were
// removed have too.
var (
	bucketLeases    = []byte("leases")
	bucketOverrides = []byte("limits")
	bucketVersions  = []byte("limitversions")
)

// Embedded is the authority of the gateways of one machine. Its state is the file
// quotas.db, which each process opens for as long as a call takes. It is safe for
// concurrent use.
type Embedded struct {
	// Opened is called after the file was first opened, or created, and before anything is
	// read or written. Optional; set it before the first call.
	Opened func() error

	path string
	now  func() time.Time
	boot func() (id string, up time.Duration) // metering.RunClock, or a test's

	mu    sync.Mutex // held while the file is open: one opening at a time in a process; guards known
	known bool       // the file was opened before
}

// NewEmbedded returns the authority whose file is in a directory; now is its clock.
// It opens nothing.
func NewEmbedded(dir string, now func() time.Time) *Embedded {
	return &Embedded{path: filepath.Join(dir, "quotas.db"), now: now, boot: metering.RunClock}
}

// with opens the file and runs f in a transaction. Its error wraps ErrUnavailable.
func (e *Embedded) with(write bool, f func(*bbolt.Tx) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	db, err := bbolt.Open(e.path, 0o600, &bbolt.Options{Timeout: embeddedWait, Known: e.known})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, durable.Named(e.path, err))
	}
	if !e.known && e.Opened != nil {
		if err := e.Opened(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, durable.Named(e.path, errors.Join(err, db.Close())))
		}
	}
	e.known = true
	run := db.View
	if write {
		run = db.Update
	}
	if err = errors.Join(run(f), db.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, durable.Named(e.path, err))
	}
	return nil
}

// none reports whether there is no file yet. One that was there and is gone is missing.
func (e *Embedded) none() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, err := os.Stat(e.path)
	return !e.known && errors.Is(err, os.ErrNotExist)
}

// Claim implements Authority.
func (e *Embedded) Claim(_ context.Context, c Claim) (Answer, error) {
	var answer Answer
	err := e.with(true, func(tx *bbolt.Tx) error {
		leases, err := tx.CreateBucketIfNotExists(bucketLeases)
		if err != nil {
			return err
		}
		limit, overridden := overrideOf(tx, c.Organization)
		if !overridden {
			limit = c.Limit
		}
		key := []byte(c.Period.ID + "|" + c.Organization)
		l := lease{Holders: make(map[string]holder)}
		if text := leases.Get(key); text != nil {
			if err := json.Unmarshal(text, &l); err != nil {
				return fmt.Errorf("reading the lease of %s: %w", key, err)
			}
		}
		answer = l.settle(c, limit, instantOn(e.now(), e.boot))
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		return leases.Put(key, text)
	})
	return answer, err
}

// HeldBy implements HoldingsAuthority.
func (e *Embedded) HeldBy(_ context.Context, holder string) ([]Claim, error) {
	return e.held(func(name string) bool { return name == holder })
}

// held returns what holders have, as HeldBy.
func (e *Embedded) held(which func(holder string) bool) (claims []Claim, err error) {
	if e.none() {
		return nil, nil
	}
	err = e.with(false, func(tx *bbolt.Tx) error {
		leases := tx.Bucket(bucketLeases)
		if leases == nil {
			return nil
		}
		return leases.ForEach(func(key, text []byte) error {
			var l lease
			if err := json.Unmarshal(text, &l); err != nil {
				return fmt.Errorf("reading the lease of %s: %w", key, err)
			}
			period, organization, _ := strings.Cut(string(key), "|")
			for name, h := range l.Holders {
				if h.Granted > 0 && which(name) {
					claims = append(claims, Claim{
						Holder:       name,
						Organization: organization,
						Period:       metering.Period{ID: period},
						Holds:        h.Granted,
						Number:       h.Number,
						Limit:        noLimit,
					})
				}
			}
			return nil
		})
	})
	return claims, err
}

// overrideOf returns the override of an organization, false if it has none.
func overrideOf(tx *bbolt.Tx, organization string) (int64, bool) {
	bucket := tx.Bucket(bucketOverrides)
	if bucket == nil {
		return 0, false
	}
	value := bucket.Get([]byte(organization))
	if len(value) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(value)), true
}

// SetOverride implements Authority.
func (e *Embedded) SetOverride(_ context.Context, organization string, o Override) error {
	return e.with(true, func(tx *bbolt.Tx) error {
		limits, err := tx.CreateBucketIfNotExists(bucketOverrides)
		if err != nil {
			return err
		}
		versions, err := tx.CreateBucketIfNotExists(bucketVersions)
		key := []byte(organization)
		if err != nil || o.Version <= numberIn(versions.Get(key)) {
			return err
		}
		if err := versions.Put(key, binary.BigEndian.AppendUint64(nil, o.Version)); err != nil {
			return err
		}
		if o.Removed {
			return limits.Delete(key)
		}
		return limits.Put(key, binary.BigEndian.AppendUint64(nil, uint64(o.Limit)))
	})
}

// numberIn reads eight bytes; 0 if there are none.
func numberIn(value []byte) uint64 {
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

// Overrides implements Authority.
func (e *Embedded) Overrides(context.Context) (found map[string]Override, err error) {
	if e.none() {
		return nil, nil
	}
	err = e.with(false, func(tx *bbolt.Tx) error {
		limits, versions := tx.Bucket(bucketOverrides), tx.Bucket(bucketVersions)
		if limits == nil {
			return nil
		}
		found = make(map[string]Override)
		if versions != nil {
			err := versions.ForEach(func(k, v []byte) error {
				found[string(k)] = Override{Removed: true, Version: numberIn(v)}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return limits.ForEach(func(k, v []byte) error {
			if len(v) == 8 {
				found[string(k)] = Override{Limit: int64(numberIn(v)), Version: found[string(k)].Version}
			}
			return nil
		})
	})
	return found, err
}
