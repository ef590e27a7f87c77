package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadLines calls parse with each line of a file, without its end, and returns where
// the last whole line ends. Bytes after that are a line that was not written
// completely: they are left where they are, and Append writes over them. A line that
// parse refuses is a *DamageError. A file that does not exist has no lines.
func ReadLines(path string, parse func(line []byte) error) (end int64, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for {
		line, _, whole := bytes.Cut(text[end:], []byte("\n"))
		if !whole {
			return end, nil
		}
		if err := parse(line); err != nil {
			return end, &DamageError{File: path, Offset: end, What: fmt.Sprintf("this line is not what was written: %v", err)}
		}
		end += int64(len(line)) + 1
	}
}

// growing is what Append needs of a file; tests break it.
type growing interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
}

// Append appends a line to a file, which it creates if need be. The line and the name
// of the file are on the disk when Append returns. If it fails, the file is as it was:
// a line that was written in part is taken back, now or by the next Append.
func Append(path string, mode os.FileMode, line []byte) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return err
	}
	return errors.Join(appendTo(file, line), file.Close(), SyncDirectory(filepath.Dir(path)))
}

func appendTo(file growing, line []byte) error {
	end, size, err := endOfLines(file)
	if err != nil {
		return err
	}
	if size > end {
		if err := file.Truncate(end); err != nil {
			return fmt.Errorf("removing a line that was not written completely: %w", err)
		}
	}
	_, err = file.WriteAt(append(bytes.Clone(line), '\n'), end)
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return errors.Join(err, file.Truncate(end))
	}
	return nil
}

// endOfLines returns where the last whole line of a file ends, and the file's size.
func endOfLines(file growing) (end, size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = info.Size()
	chunk := make([]byte, 4096)
	for end = size; end > 0; {
		from := max(0, end-int64(len(chunk)))
		part := chunk[:end-from]
		if _, err := file.ReadAt(part, from); err != nil {
			return 0, 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return from + int64(at) + 1, size, nil
		}
		end = from
	}
	return 0, size, nil
}
