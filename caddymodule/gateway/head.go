package gateway

import (
	"maps"
	"net/http"
	"sync"
	"time"
)

// flushAfter is how long the head or a part of an answer waits for more to go
// out with; contract 6.8 allows 20 ms.
const flushAfter = 15 * time.Millisecond

// headWriter holds the head of an answer back until there is a byte of its
// body, until its end, or until flushAfter has passed. A function that dies
// before that can still be answered for, and an answer that is whole at once
// goes out in one piece. The bytes of an answer of known length go out when
// no more follows within flushAfter; those of unknown length are flushed by who
// copies them.
type headWriter struct {
	http.ResponseWriter
	before http.Header // of the writer, without the answer's

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

// expect notes the length of the answer that will be written, -1 if unknown.
// What the header has now is what takeBack restores.
func (w *headWriter) expect(length int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.length, w.before = length, maps.Clone(w.ResponseWriter.Header())
}

// Unwrap lets http.ResponseController find the server's writer.
func (w *headWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Header implements http.ResponseWriter. After WriteHeader it is asked for the
// trailers, at the end of the body: until then the map is the timer's as well.
func (w *headWriter) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != 0 {
		w.release()
	}
	return w.ResponseWriter.Header()
}

// WriteHeader implements http.ResponseWriter.
func (w *headWriter) WriteHeader(status int) {
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
func (w *headWriter) Write(p []byte) (int, error) {
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
// not flushed by others than the timer, unless its body has ended.
func (w *headWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.out && !w.ended {
		return nil
	}
	return w.flush()
}

// bodyEnded notes that the whole body was read.
func (w *headWriter) bodyEnded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}

// whole reports whether the answer was brought to its end.
func (w *headWriter) whole() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status == 0 || w.ended && !w.failed
}

// takeBack ends the timer, and reports whether nothing of the answer went out.
// Then nothing of it ever will, and its headers are taken back.
func (w *headWriter) takeBack() bool {
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

// stop ends the timer: nothing is written by it any more.
func (w *headWriter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halt()
}

func (w *headWriter) halt() {
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// release writes the head; w.mu is held, as below.
func (w *headWriter) release() {
	if w.out || w.status == 0 || w.stopped {
		return
	}
	w.out = true
	w.ResponseWriter.WriteHeader(w.status)
}

// arm has what was written go out in a while.
func (w *headWriter) arm() {
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

func (w *headWriter) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	if !w.stopped {
		// Whether the client takes it is seen by the next write.
		_ = w.flush()
	}
}

func (w *headWriter) flush() error {
	w.release()
	return http.NewResponseController(w.ResponseWriter).Flush()
}
