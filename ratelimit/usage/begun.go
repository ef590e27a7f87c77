package usage

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// keyBegun is in bucketMeta: since when the line store is kept without a break. Before that
// there was another file, which may have had more revisions of its lines.
var keyBegun = []byte("begun")

// revisionsApart is how many revisions a second has room for: two line stores that begin at
// different times never use the same.
const revisionsApart = 1_000_000

// revisionsSince is where the seconds of revisions are counted from.
var revisionsSince = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// begun is the moment at which a line store began anew, beside sums of which another file
// may have made lines before.
type begun struct {
	// Base is added to the revisions of lines that ended until then. 0: it was the first.
	Base int64 `json:"base"`
	Unix int64 `json:"at,omitempty"` // 0: with the next update
}

// revision returns the revision of a line that changed n times.
func (b begun) revision(n, end int64) int64 {
	if n == 0 || end > b.Unix {
		return n
	}
	return b.Base + n
}

// floor returns the revision from which on messages of lines may have names that no
// service knows: those lines began in the file before.
func floor(lines []Line) (least int64) {
	for i := range lines {
		if n := lines[i].Revision; n > revisionsApart {
			least = max(least, n-n%revisionsApart+1)
		}
	}
	return least
}

func begunOf(meta *bbolt.Bucket) (at begun) {
	if meta == nil || json.Unmarshal(meta.Get(keyBegun), &at) != nil {
		return begun{}
	}
	return at
}

func putBegun(meta *bbolt.Bucket, at begun) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	return meta.Put(keyBegun, text)
}

// begin has a file that is new, or not the one that was used last, begin its revisions
// above all those before, and gives it an id.
func (b *LineStore) begin(tx *bbolt.Tx, in *UpdateInput) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if meta.Get(keyNumbering) == nil {
		err = meta.Put(keyNumbering, []byte(token()))
	}
	again := meta.Get(keyBegun) != nil && begunOf(meta).Unix == 0
	if first := tx.Bucket(bucketLines) == nil && in.Anew; !again && !first {
		return err
	}
	seconds := int64(in.Now.Sub(revisionsSince) / time.Second)
	b.begun = begun{
		Base: max(seconds*revisionsApart, begunOf(meta).Base+revisionsApart),
		Unix: in.Now.Unix(),
	}
	return errors.Join(err, putBegun(meta, b.begun))
}

// toldVersion says how far a line store and its copy of what services were told have come.
// Each of both has it, and whoever keeps Notes: so it is noticed if both are older than the
// last ones.
type toldVersion struct {
	ID string `json:"id"` // of the copy: only versions with the same can be compared
	N  uint64 `json:"n"`  // how often it was written
}

// keyVersion is in bucketMeta of the line store, and in bucketMark of the copy.
var keyVersion = []byte("told")

// Notes keeps a note of a line store at another place, for the next process.
type Notes interface {
	ToldNotes() []string        // those that are known
	NoteTold(text string) error // stores it, before anybody is told something
}

// The damage if nobody knows what services were told.
const (
	toldLost = "it and billing.db are missing or older than when services were last told something: what they were told since is in neither"

	// ToldLoss is what is lost then.
	ToldLoss = "what services were told is lost, too: who adds up differences counts those hours twice"

	toldRemedy = "restore billing.db and told.db from one copy of the end; without one, " + durable.Mending + ", after which services are told it again"
)

func versionOf(bucket *bbolt.Bucket) (v toldVersion) {
	if bucket == nil || json.Unmarshal(bucket.Get(keyVersion), &v) != nil {
		return toldVersion{}
	}
	return v
}

func (v toldVersion) put(bucket *bbolt.Bucket) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return bucket.Put(keyVersion, text)
}

// versions are those of a line store and its copy, and the latest that is known of it.
type versions struct {
	store, copied toldVersion
	latest        uint64 // with the id of either
}

// compareVersions takes in notes.
func compareVersions(store, copied toldVersion, notes ...toldVersion) versions {
	if copied.ID != "" && store.ID != copied.ID {
		store = toldVersion{} // it is of another
	}
	v := versions{store: store, copied: copied, latest: max(store.N, copied.N)}
	for _, n := range notes {
		if n.ID != "" && (n.ID == store.ID || n.ID == copied.ID) {
			v.latest = max(v.latest, n.N)
		}
	}
	return v
}

// lost reports whether neither has what services were told last.
func (v *versions) lost() bool { return max(v.store.N, v.copied.N) < v.latest }

// next is the version after all.
func (v *versions) next() toldVersion {
	n := toldVersion{ID: v.copied.ID, N: v.latest + 1}
	if n.ID == "" {
		n.ID = v.store.ID
	}
	if n.ID == "" {
		n.ID = token()
	}
	return n
}

// parseNotes returns those that can be read.
func parseNotes(texts []string) (all []toldVersion) {
	for _, text := range texts {
		var v toldVersion
		if json.Unmarshal([]byte(text), &v) == nil {
			all = append(all, v)
		}
	}
	return all
}

// step gives the line store its next version, in the transaction that changes it. The copy
// gets it before the file is closed.
func (b *LineStore) step(tx *bbolt.Tx) error {
	if b.Told == "" {
		return nil
	}
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	n := toldVersion{ID: b.version.ID, N: max(b.version.N, versionOf(meta).N) + 1}
	b.version = n
	return n.put(meta)
}

// noteVersion has others keep the version that both have now.
func (b *LineStore) noteVersion() error {
	if b.Notes == nil {
		return nil
	}
	text, err := json.Marshal(b.version)
	if err != nil {
		return err
	}
	return b.Notes.NoteTold(string(text))
}

// lostAt is the damage of a copy that is not the last one.
func lostAt(copied string) *durable.DamageError {
	return &durable.DamageError{
		File:   copied,
		Offset: -1,
		What:   toldLost,
		Remedy: toldRemedy,
	}
}

// ToldLost returns the damage if a line store and its copy are both older than notes of
// them say, nil otherwise. It looks at copies of both, for those that no process uses: they
// may be missing, or damaged.
func ToldLost(store, copied string, notes []string) (*durable.DamageError, error) {
	read := func(path string, name []byte) (v toldVersion, err error) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			return v, nil
		}
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: storeWait})
		if errors.As(err, new(*durable.DamageError)) {
			return v, nil
		}
		if err != nil {
			return v, err
		}
		return v, errors.Join(db.View(func(tx *bbolt.Tx) error { v = versionOf(tx.Bucket(name)); return nil }), db.Close())
	}
	s, err := read(store, bucketMeta)
	if err != nil {
		return nil, err
	}
	c, err := read(copied, bucketMark)
	if err != nil {
		return nil, err
	}
	if v := compareVersions(s, c, parseNotes(notes)...); v.lost() {
		return lostAt(copied), nil
	}
	return nil, nil
}
