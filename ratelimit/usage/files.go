package usage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Sink receives lines as they become final or are corrected. It is a [Deliverer] or
// a [Service].
type Sink interface {
	// Name identifies the sink, over restarts too.
	Name() string

	// MaxBatch returns how many lines or messages it takes at once.
	MaxBatch() int

	// Guarantee states in a sentence what those who bill by it can rely on.
	Guarantee() string
}

// Deliverer is a sink that keeps track of what it has.
type Deliverer interface {
	Sink

	// Deliver stores a batch. After an error, or if the process ends meanwhile, the same
	// changes come again, perhaps with more after them: it must not count them twice.
	Deliver(ctx context.Context, b Batch) error
}

// Drain delivers all new changes to a sink and returns how many lines those were.
func (b *LineStore) Drain(ctx context.Context, sink Deliverer) (delivered int, err error) {
	for ctx.Err() == nil {
		after, err := b.Cursor(sink.Name())
		if err != nil {
			return delivered, err
		}
		batch, err := b.Changes(after, sink.MaxBatch())
		if err != nil || len(batch.Lines) == 0 {
			return delivered, err
		}
		if err := sink.Deliver(ctx, batch); err != nil {
			return delivered, err
		}
		if err := b.SetCursor(sink.Name(), batch.To); err != nil {
			return delivered, err
		}
		delivered += len(batch.Lines)
	}
	return delivered, ctx.Err()
}

// Files delivers to a directory: one complete file for each delivery, and a manifest
// with a chain of hashes. Of each line_id the highest revision counts; the rows of
// FOCUS files all count, they add up.
type Files struct {
	Dir    string
	Format Format
}

// manifestName is the file with one JSON object a line for each delivery.
const manifestName = "manifest.jsonl"

// filesMost bounds a file, in lines.
const filesMost = 50_000

// delivery is a line of the manifest.
type delivery struct {
	File string `json:"file"`
	From uint64 `json:"from"` // the numbers of its first and last change in the directory
	To   uint64 `json:"to"`
	Totals
	SHA256   string `json:"sha256"`
	Previous string `json:"previous"` // the SHA256 of the line before; "" for the first

	// Billing is the id of the billing.db that it is from, and Upto the number of its last
	// change there. Lines of older builds have neither.
	Billing string `json:"billing,omitempty"`
	Upto    uint64 `json:"upto,omitempty"`
}

// Name implements Sink.
func (f *Files) Name() string { return "file " + string(f.Format) + " " + f.Dir }

// Guarantee implements Sink.
func (f *Files) Guarantee() string {
	if f.Format == FOCUS {
		return "each charge and each correction is in one file, whole; the rows of all files are added up"
	}
	return "each line and each correction is in one file, whole; of each line_id the highest revision counts"
}

// MaxBatch implements Sink.
func (*Files) MaxBatch() int { return filesMost }

// Deliver implements Sink.
func (f *Files) Deliver(_ context.Context, b Batch) error {
	if err := os.MkdirAll(f.Dir, 0o750); err != nil {
		return err
	}
	if len(b.Lines) == 0 {
		return nil
	}
	id, highest, err := b.store.numbering()
	if err != nil {
		return err
	}
	last, err := f.last(id, highest)
	if err != nil {
		return err
	}
	if b.From <= last.Upto {
		// The process ended after the manifest was written, before the cursor was.
		b, err = b.store.Changes(last.Upto, f.MaxBatch())
		if err != nil || len(b.Lines) == 0 {
			return err
		}
	}
	d := delivery{Previous: last.latest.SHA256, Billing: id}
	last.number(&d, b)
	d.File = fmt.Sprintf("usage-%012d.%s", d.From, f.extension())
	if last.latest.File == "" {
		if err := f.checkFirst(d.File); err != nil {
			return err
		}
	}
	if err := f.write(&d, b); err != nil {
		return err
	}
	return f.note(d)
}

// checkFirst returns an error if the manifest has nothing, but there are files of
// deliveries other than the one with a name: a manifest that was removed is not begun anew.
func (f *Files) checkFirst(name string) error {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != name && deliveryName.MatchString(e.Name()) {
			return &durable.DamageError{
				File:   filepath.Join(f.Dir, manifestName),
				Offset: -1,
				What:   "it is missing or empty, and there is " + e.Name(),
				Remedy: firstRemedy,
			}
		}
	}
	return nil
}

// deliveryName matches the names of files, of all formats, and not those of what
// [durable.Replace] was writing when the process was killed.
var deliveryName = regexp.MustCompile(`^usage-[0-9]{12}\.`)

// firstRemedy mends a manifest that was removed.
const firstRemedy = "nothing was written; put the manifest back, or move the files usage-* elsewhere to begin another"

func (f *Files) extension() string {
	if f.Format == FOCUS {
		return "focus.csv"
	}
	return string(f.Format)
}

// write writes the file of a delivery. File and name are on the disk when it returns.
func (f *Files) write(d *delivery, b Batch) error {
	hash := sha256.New()
	err := durable.Replace(filepath.Join(f.Dir, d.File), 0o666, func(file *os.File) (err error) {
		out := io.MultiWriter(file, hash)
		if f.Format == FOCUS {
			d.Totals, err = WriteFOCUS(out, FOCUSOptions{}, b.Charges())
		} else {
			d.Totals, err = Write(out, f.Format, b.all())
		}
		return err
	})
	d.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return err
}

// manifestRemedy mends a manifest of deliveries. The ledger has nothing to do with it.
const manifestRemedy = "nothing was changed; mend the line by hand: it names the file usage-FROM beside it, its changes, totals and SHA-256"

// last returns what the manifest has of the billing.db with an id, in which changes have
// numbers up to highest.
func (f *Files) last(id string, highest uint64) (last told, err error) {
	_, err = durable.ReadLines(filepath.Join(f.Dir, manifestName), func(text []byte) error {
		var d delivery
		if err := json.Unmarshal(text, &d); err != nil {
			return err
		}
		last.add(d, id)
		return nil
	})
	if damage := (*durable.DamageError)(nil); errors.As(err, &damage) {
		damage.Remedy = manifestRemedy
	}
	if last.Upto > highest {
		last.delivery = delivery{}
	}
	if err == nil && f.Format == FOCUS && last.File == "" && last.latest.File != "" {
		err = f.anotherError()
	}
	return last, err
}

// note appends a line to the manifest.
func (f *Files) note(d delivery) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return durable.Append(filepath.Join(f.Dir, manifestName), 0o644, text) // as the files beside it: who bills reads them
}
