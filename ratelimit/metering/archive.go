package metering

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

const (
	archiveSuffix = ".zst"
	manifestName  = "manifest.jsonl"
	// archiveEvery is how often segments that are full and added up are archived.
	archiveEvery = 10 * time.Second
)

// archived is a line of the manifest: an archive file. Each line holds the hash of
// the line before, so that no file can be changed or removed unnoticed.
type archived struct {
	File     string `json:"file"`
	First    uint64 `json:"first"` // the Seq of its first record
	Records  uint64 `json:"records"`
	SHA256   string `json:"sha256"`           // of the file
	Previous string `json:"previous"`         // the SHA256 of the line before; "" for the first
	Checksum string `json:"crc32c,omitempty"` // of the other fields; "" in lines of older versions
}

// archive compresses the full segments whose records are all in the checkpoint,
// which holds those up to the record done.
func (b *instanceLog) archive(done uint64) error {
	b.archiving.Lock()
	defer b.archiving.Unlock()
	paths, err := segmentFiles(b.log.dir)
	if err != nil {
		return err
	}
	for i, path := range paths[:max(0, len(paths)-1)] {
		next, err := firstOf(paths[i+1])
		if err != nil {
			return err
		}
		if next > done+1 {
			return nil
		}
		if err := b.archiveOne(path, next); err != nil {
			return fmt.Errorf("archiving %s: %w", path, err)
		}
	}
	return nil
}

// firstOf returns the number of a segment's first record, from its file name.
func firstOf(path string) (first uint64, err error) {
	name := strings.TrimSuffix(filepath.Base(path), segmentSuffix)
	_, err = fmt.Sscanf(name, "%d", &first)
	return first, err
}

// archiveOne replaces a segment with its archive. next is the first record of the
// segment after it.
func (b *instanceLog) archiveOne(path string, next uint64) error {
	dir := filepath.Join(b.instance.dir, "archive")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	records, err := readSegment(path, next)
	if err != nil {
		return err
	}
	lines, err := readManifest(dir)
	if err != nil {
		return err
	}
	line := archived{File: archiveName(records[0].Seq), First: records[0].Seq, Records: uint64(len(records))}
	if !slices.ContainsFunc(lines, func(other archived) bool { return other.First == line.First }) {
		if err := writeArchive(filepath.Join(dir, line.File), records, &line); err != nil {
			return err
		}
		if len(lines) > 0 {
			line.Previous = lines[len(lines)-1].SHA256
		}
		if err := appendManifest(dir, line); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// readSegment reads all records of a full segment.
func readSegment(path string, next uint64) ([]Record, error) {
	s, err := OpenSegment(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if next <= s.first || next > s.first+s.slots {
		return nil, fmt.Errorf("the segment begins with record %d, the next one with %d", s.first, next)
	}
	records := make([]Record, next-s.first)
	for i := range records {
		if records[i], err = s.At(i); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// writeArchive writes an archive and sets line.SHA256. It decompresses the archive
// and compares the records first.
func writeArchive(path string, records []Record, line *archived) error {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer encoder.Close()
	data := encoder.EncodeAll(pack(records), nil)
	again := &Batch{file: data} // which is half as large as records are
	if err := again.decompress(line.First, line.Records); err != nil || !again.equal(records) {
		return errors.Join(errArchive, err)
	}
	sum := sha256.Sum256(data)
	line.SHA256 = hex.EncodeToString(sum[:])
	return durable.Replace(path, 0o666, func(file *os.File) error {
		_, err := file.Write(data)
		return err
	})
}

func decompress(data []byte, first, n uint64) ([]Record, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	raw, err := decoder.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errArchive, err)
	}
	return unpack(raw, first, n)
}

// readManifest reads the manifest in a directory of archives and checks that its lines
// follow each other. An error about a line is a *durable.DamageError.
func readManifest(dir string) (lines []archived, err error) {
	_, err = durable.ReadLines(filepath.Join(dir, manifestName), func(text []byte) error {
		var line archived
		if err := line.parse(text); err != nil {
			return err
		}
		if len(lines) > 0 {
			if err := line.follows(&lines[len(lines)-1]); err != nil {
				return err
			}
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func (a *archived) parse(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a field of a later version, or the name of one of ours that was changed
	if err := decoder.Decode(a); err != nil {
		return err
	}
	if decoder.InputOffset() != int64(len(text)) || a.First == 0 || a.Records == 0 || a.File != archiveName(a.First) {
		return errArchive
	}
	if a.Checksum != "" && a.Checksum != a.checksum() {
		return errTorn
	}
	return nil
}

// follows returns an error if there is something between the archive before and a.
func (a *archived) follows(before *archived) error {
	if next := before.First + before.Records; a.First != next {
		return fmt.Errorf("%s: %w: record %d is missing", a.File, errArchive, next)
	}
	if a.Previous != before.SHA256 {
		return fmt.Errorf("%s: %w: it does not follow %s", a.File, errArchive, before.File)
	}
	return nil
}

// checksum returns that of all other fields.
func (a *archived) checksum() string {
	text := fmt.Sprintf("%s %d %d %s %s", a.File, a.First, a.Records, a.SHA256, a.Previous)
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(text), castagnoli))
}

func archiveName(first uint64) string { return fmt.Sprintf("%020d%s", first, archiveSuffix) }

func appendManifest(dir string, line archived) error {
	line.Checksum = line.checksum()
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	return durable.Append(filepath.Join(dir, manifestName), 0o600, text)
}

// VerifyArchives checks all archives in the directory of an instance log against
// their manifest and returns how many records they hold.
func VerifyArchives(instanceDir string) (records uint64, err error) {
	err = eachArchive(instanceDir, func(_ *archived, r []Record) error {
		records += uint64(len(r))
		return nil
	})
	return records, err
}

// eachArchive calls visit with the records of each archive, in order. It stops at
// the first file that does not match the manifest.
func eachArchive(instanceDir string, visit func(*archived, []Record) error) error {
	dir := filepath.Join(instanceDir, "archive")
	lines, err := readManifest(dir)
	if err != nil {
		return err
	}
	for _, line := range lines {
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(line.File)))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		if hex.EncodeToString(sum[:]) != line.SHA256 {
			return fmt.Errorf("%s: %w: its hash is not that of the manifest", line.File, errArchive)
		}
		records, err := decompress(data, line.First, line.Records)
		if err == nil {
			err = visit(&line, records)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", line.File, err)
		}
	}
	return nil
}

// archive compresses full segments of all instance logs, until Close.
func (l *Ledger) archive() {
	tick := time.NewTicker(archiveEvery)
	defer tick.Stop()
	for {
		l.mu.Lock()
		logs := l.logs()
		l.mu.Unlock()
		for _, b := range logs {
			l.mu.Lock()
			done := b.saved
			l.mu.Unlock()
			if l.own.log.gone() != nil {
				continue // they would be looked for in another directory
			}
			if err := b.archive(done); err != nil {
				l.config.Trouble(err)
			}
		}
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
	}
}
