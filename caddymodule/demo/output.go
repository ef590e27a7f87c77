package demo

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// lineOutput writes whole lines of many processes to one writer.
type lineOutput struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

// say writes a line of the demo's own.
func (l *lineOutput) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.w, format+"\n", args...)
}

// maxLine is the length, in bytes, at which a line without an end is cut.
const maxLine = 64 << 10

// prefixed is the writer of one stream of one process: it puts a prefix before each line.
type prefixed struct {
	out    *lineOutput
	prefix string
	skip   []byte // lines with it are left out; none where it is empty
	rest   []byte
}

// Write prints the lines that p completes. A writer that fails must not stop the function: errors are dropped.
func (l *prefixed) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		l.print(append(l.rest, p[:i]...))
		l.rest, p = l.rest[:0], p[i+1:]
	}
	l.rest = append(l.rest, p...)
	if len(l.rest) >= maxLine {
		l.flush()
	}
	return n, nil
}

// flush prints what came without a line end; it is called after the last Write.
func (l *prefixed) flush() {
	if len(l.rest) > 0 {
		l.print(l.rest)
		l.rest = l.rest[:0]
	}
}

func (l *prefixed) print(line []byte) {
	if len(l.skip) > 0 && bytes.Contains(line, l.skip) {
		return
	}
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	_, _ = fmt.Fprintf(l.out.w, "%s%s\n", l.prefix, bytes.TrimSuffix(line, []byte("\r")))
}
