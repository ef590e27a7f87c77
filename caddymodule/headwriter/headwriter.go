// Package headwriter holds the head of an answer back for a moment, so that an
// answer of the gateway can take the place of one that breaks off before its first
// byte, and so that a short answer goes out in one piece.
//
//	w := &headwriter.Writer{ResponseWriter: w}
//	defer w.Stop()
//	w.Expect(response.ContentLength)
//	...
//	if broken && w.TakeBack() {
//		// nothing went out: answer with an error
//	}
//
// It decides when bytes go out. Whether an answer broke off, and what is said then,
// is decided by package gateway.
package headwriter

import (
	"maps"
	"net/http"
	"sync"
	"time"
)

// flushAfter is how long the head or a part of an answer waits for more to go
// out with; contract 6.8 allows 20 ms.
const flushAfter = 15 * time.Millisecond

// Writer holds the head of an answer back until there is a byte of its
// body, until its end, or until flushAfter has passed. A function that dies
// before that can still be answered for, and an answer that is whole at once
// goes out in one piece. The bytes of an answer of known length go out when
// no more follows within flushAfter; those of unknown length are flushed by the
// code that copies them.
type Writer struct {
	http.ResponseWriter
	before http.Header // the writer's, without the answer's

	mu      sync.Mutex // guards the fields below and serializes what is written
	length  int64      // of the answer's body, -1 if unknown
	status  int        // 0 before the head is known
	out     bool       // the head was written
	ended   bool       // the body was read to its end
	failed  bool       // the client takes no more
	stopped bool       // the call is over: the timer has nothing left to do
	written int64
	timer   *time.Timer
	armed   bool
}

// Expect notes the length of the answer's body that will be written, in bytes, -1
// if unknown. TakeBack restores the headers that are set when it is called.
func (w *Writer) Expect(length int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.length, w.before = length, maps.Clone(w.ResponseWriter.Header())
}

// Unwrap lets http.ResponseController find the server's writer.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Header implements http.ResponseWriter. After WriteHeader it is asked for the
// trailers, at the end of the body: until then the map is the timer's as well.
func (w *Writer) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != 0 {
		w.release()
	}
	return w.ResponseWriter.Header()
}

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != 0 {
		return
	}
	w.status = status
	if w.length == 0 || status == http.StatusNoContent || status == http.StatusNotModified {
		w.release() // no body follows
		return
	}
	w.arm()
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release()
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	w.failed = w.failed || err != nil
	if err == nil && w.written < w.length {
		w.arm()
	}
	return n, err
}

// FlushError implements the flusher of http.ResponseController. A head alone is
// flushed by the timer only, unless its body has ended.
func (w *Writer) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.out && !w.ended {
		return nil
	}
	return w.flush()
}

// BodyEnded notes that the whole body was read.
func (w *Writer) BodyEnded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}

// Whole reports whether the answer was written to its end.
func (w *Writer) Whole() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status == 0 || w.ended && !w.failed
}

// TakeBack ends the timer, and reports whether nothing of the answer went out.
// Then nothing of it ever will, and its headers are taken back.
func (w *Writer) TakeBack() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halt()
	if w.out || w.before == nil {
		return false
	}
	header := w.ResponseWriter.Header()
	clear(header)
	maps.Copy(header, w.before)
	return true
}

// Stop ends the timer: nothing is written by it any more.
func (w *Writer) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halt()
}

// Stopped reports whether Stop or TakeBack has ended the timer.
func (w *Writer) Stopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

func (w *Writer) halt() {
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// release writes the head; w.mu is held, as below.
func (w *Writer) release() {
	if w.out || w.status == 0 || w.stopped {
		return
	}
	w.out = true
	w.ResponseWriter.WriteHeader(w.status)
}

// arm has what was written go out in a while.
func (w *Writer) arm() {
	switch {
	case w.armed || w.stopped:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(flushAfter, w.fire)
	default:
		w.timer.Reset(flushAfter)
	}
	w.armed = true
}

func (w *Writer) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	if !w.stopped {
		// Whether the client takes it is seen by the next write.
		_ = w.flush()
	}
}

func (w *Writer) flush() error {
	w.release()
	return http.NewResponseController(w.ResponseWriter).Flush()
}
