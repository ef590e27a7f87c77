package headwriter

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire records what goes out, and when.
type wire struct {
	*httptest.ResponseRecorder
	mu      sync.Mutex // guards events
	events  []string
	failing bool
}

func (w *wire) note(event string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event)
}

func (w *wire) WriteHeader(status int) {
	w.note("head")
	w.ResponseRecorder.WriteHeader(status)
}

func (w *wire) Write(p []byte) (int, error) {
	if w.failing {
		return 0, errors.New("gone")
	}
	w.note(string(p))
	return w.ResponseRecorder.Write(p)
}

func (w *wire) FlushError() error {
	w.note("flush")
	return nil
}

// Contract 6.8: what goes out when, by what the copy of an answer does.
func TestHeadWriter(t *testing.T) {
	const long = 2 * flushAfter
	header := func(w *Writer) { w.WriteHeader(http.StatusOK) }
	write := func(text string) func(*Writer) {
		return func(w *Writer) { _, _ = w.Write([]byte(text)) }
	}
	pause := func(*Writer) { <-time.After(long); synctest.Wait() }
	flush := func(w *Writer) { _ = w.FlushError() }
	ended := func(w *Writer) { w.BodyEnded() }
	trailers := func(w *Writer) { w.Header() }
	for _, tc := range []struct {
		name   string
		length int64
		steps  []func(*Writer)
		want   []string
		whole  bool
		back   bool // it can be taken back
	}{
		{"a whole answer at once", 5, []func(*Writer){header, write("hello"), ended, trailers}, []string{"head", "hello"}, true, false},
		{"a whole answer, and a handler that stays", 5, []func(*Writer){header, write("hello"), ended, trailers, pause}, []string{"head", "hello", "flush"}, true, false},
		{"a head, and nothing", 5, []func(*Writer){header}, nil, false, true},
		{"a head, and nothing for long", 5, []func(*Writer){header, pause}, []string{"head", "flush"}, false, false},
		{"a part", 5, []func(*Writer){header, write("he")}, []string{"head", "he"}, false, false},
		{"a part, and nothing for long", 5, []func(*Writer){header, write("he"), pause}, []string{"head", "he", "flush"}, false, false},
		{"two parts with a pause", 5, []func(*Writer){header, write("he"), pause, write("llo"), ended}, []string{"head", "he", "flush", "llo"}, true, false},
		{"no body", 0, []func(*Writer){header, ended}, []string{"head"}, true, false},
		{"an empty stream", -1, []func(*Writer){header, flush, ended, flush}, []string{"head", "flush"}, true, false},
		{"an empty stream without a flush", -1, []func(*Writer){header, ended, trailers}, []string{"head"}, true, false},
		{"the head of a stream is not flushed alone", -1, []func(*Writer){header, flush}, nil, false, true},
		{"a stream is flushed by its copy", -1, []func(*Writer){header, flush, write("he"), flush}, []string{"head", "he", "flush"}, false, false},
		{"nothing", -1, nil, nil, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &wire{ResponseRecorder: httptest.NewRecorder()}
				out.Header().Set("Server", "Caddy")
				w := &Writer{ResponseWriter: out}
				w.Expect(tc.length)
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Del("Server")
				for _, step := range tc.steps {
					step(w)
				}
				if len(out.events) != len(tc.want) {
					t.Errorf("%q went out, want %q", out.events, tc.want)
				}
				for i := range min(len(out.events), len(tc.want)) {
					if out.events[i] != tc.want[i] {
						t.Errorf("%q went out, want %q", out.events, tc.want)
					}
				}
				if w.Whole() != tc.whole {
					t.Errorf("whole: %v", w.Whole())
				}
				if back := w.TakeBack(); back != tc.back {
					t.Errorf("taken back: %v", back)
				}
				if tc.back && (out.Header().Get("Server") != "Caddy" || out.Header().Get("Content-Type") != "") {
					t.Errorf("the headers are %v", out.Header())
				}
				before := len(out.events)
				<-time.After(long)
				synctest.Wait()
				if len(out.events) != before {
					t.Errorf("after its end %q went out", out.events[before:])
				}
			})
		})
	}
}

// A client that takes no more makes an answer incomplete, though its backend sent all of it.
func TestHeadWriterFailing(t *testing.T) {
	w := &Writer{ResponseWriter: &wire{ResponseRecorder: httptest.NewRecorder(), failing: true}}
	w.Expect(5)
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write([]byte("hello")); err == nil {
		t.Fatal("it was written")
	}
	w.BodyEnded()
	if w.Whole() {
		t.Error("the answer passes for whole")
	}
	w.Stop()
}
