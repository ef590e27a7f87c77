package metering

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
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
	SHA256   string `json:"sha256"`   // of the file
	Previous string `json:"previous"` // the SHA256 of the line before; "" for the first
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
	line := archived{File: fmt.Sprintf("%020d%s", records[0].Seq, archiveSuffix), First: records[0].Seq, Records: uint64(len(records))}
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
	again, err := decompress(data, line.First, line.Records)
	if err != nil || !slices.Equal(again, records) {
		return errors.Join(errArchive, err)
	}
	sum := sha256.Sum256(data)
	line.SHA256 = hex.EncodeToString(sum[:])
	return ReplaceFile(path, 0o666, func(file *os.File) error {
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

// readManifest reads the manifest. A last line that was not written completely is
// removed from the file.
func readManifest(dir string) ([]archived, error) {
	file, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []archived
	whole, reader := int64(0), bufio.NewReader(file)
	for {
		text, err := reader.ReadBytes('\n')
		var line archived
		if errors.Is(err, io.EOF) || json.Unmarshal(bytes.TrimSpace(text), &line) != nil {
			return lines, file.Truncate(whole)
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
		whole += int64(len(text))
	}
}

func appendManifest(dir string, line archived) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), SyncDirectory(dir))
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
	previous := archived{}
	for _, line := range lines {
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(line.File)))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		switch {
		case hex.EncodeToString(sum[:]) != line.SHA256:
			return fmt.Errorf("%s: %w: its hash is not that of the manifest", line.File, errArchive)
		case line.Previous != previous.SHA256:
			return fmt.Errorf("%s: %w: it does not follow %s", line.File, errArchive, previous.File)
		case previous.File != "" && line.First != previous.First+previous.Records:
			return fmt.Errorf("%s: %w: record %d is missing", line.File, errArchive, previous.First+previous.Records)
		}
		records, err := decompress(data, line.First, line.Records)
		if err == nil {
			err = visit(&line, records)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", line.File, err)
		}
		previous = line
	}
	return nil
}
