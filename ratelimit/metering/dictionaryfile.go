package metering

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// growing is what a dictionary needs of its file; tests break it.
type growing interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// load reads the file and changes nothing in it. Its end may be a line that was not
// written completely: no record refers to that, and the next line is written over it.
// Any other bad line is an error: the lines after it have their numbers from it.
func (d *dictionary) load(path string) error {
	var torn []byte // the last line that was read, if it is none
	end, err := durable.ReadLines(path, func(line []byte) error {
		if torn != nil {
			return errTorn
		}
		var e entry
		if decodeLine(line, &e) {
			d.take(e)
			d.size += int64(len(line)) + 1
			return nil
		}
		if bytes.IndexByte(line, 0) < 0 { // a power loss leaves zeros where it had no time to write
			return errTorn
		}
		torn = bytes.Clone(line)
		return nil
	})
	if damage := (*durable.DamageError)(nil); errors.As(err, &damage) {
		damage.Offset = d.size // the line that is bad may be the one before
	}
	if err != nil {
		return err
	}
	rest, err := tail(path, end)
	if err != nil {
		return err
	}
	if n := len(rest); n > 0 && decodeLine(rest[:n-1], new(entry)) {
		return &durable.DamageError{File: path, Offset: end, What: "this line is not what was written: its end is another"}
	}
	d.torn = torn != nil || len(rest) > 0
	d.synced = d.size
	return nil
}

// tail returns what a file has from an offset on.
func tail(path string, from int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.NewSectionReader(file, from, math.MaxInt64-from))
}

func decodeLine(line []byte, into *entry) bool {
	sum, text, ok := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	return ok && err == nil && uint32(want) == crc32.Checksum(text, castagnoli) && json.Unmarshal(text, into) == nil
}

// write appends a line. It survives the end of the process at once, a power loss
// after settle. If it fails, the file has the lines that it had: what was written of
// the line is taken back, now or before the next line.
func (d *dictionary) write(e entry) error {
	text, err := json.Marshal(e)
	if err == nil && d.torn {
		err = d.takeBack()
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text)
	if err == nil {
		if _, err = d.file.WriteAt(line, d.size); err != nil {
			d.torn = true
			err = errors.Join(err, d.takeBack())
		}
	}
	if err != nil {
		return fmt.Errorf("%w: writing a new name: %w", ErrUnavailable, err)
	}
	d.size += int64(len(line))
	d.take(e)
	return nil
}

// takeBack removes what is after the whole lines.
func (d *dictionary) takeBack() error {
	if err := d.file.Truncate(d.size); err != nil {
		return fmt.Errorf("taking back a line that was not written completely: %w", err)
	}
	d.torn = false
	return nil
}

// settle makes all lines outlive a power loss before a record refers to them: a
// number whose name is lost would be nobody's.
func (d *dictionary) settle() error {
	if d.lazy.Load() {
		return nil
	}
	return d.sync()
}

// sync writes the file to the disk.
func (d *dictionary) sync() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	size, synced := d.size, d.synced
	d.mu.Unlock()
	if size == synced {
		return nil
	}
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("%w: syncing the names: %w", ErrUnavailable, err)
	}
	d.mu.Lock()
	d.synced = size
	d.mu.Unlock()
	return nil
}

// writeDictionary replaces the file of a dictionary.
func writeDictionary(path string, entries []entry) error {
	return durable.Replace(path, 0o600, func(file *os.File) error {
		for i := range entries {
			text, err := json.Marshal(&entries[i])
			if err == nil {
				_, err = fmt.Fprintf(file, "%08x %s\n", crc32.Checksum(text, castagnoli), text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
