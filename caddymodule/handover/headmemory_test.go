package handover

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Contract 9.6: what a connection keeps of a head is bounded, goes with each way that the head can end, and never was the reason
// that it could not be handed over but for its length.
func TestHeadMemory(t *testing.T) {
	const buffer = 4096
	endings := map[string]func(*testing.T, *connFixture){
		"a handler":     func(_ *testing.T, f *connFixture) { f.begins(0) },
		"an answer":     func(t *testing.T, f *connFixture) { f.write(t) },
		"the rest":      func(t *testing.T, f *connFixture) { f.changed(http.StateActive); f.read(t, "x", buffer) },
		"too much":      func(t *testing.T, f *connFixture) { f.send(t, maxRecorded) },
		"a close":       func(t *testing.T, f *connFixture) { f.direct = false; _ = f.Close() },
		"a handover":    func(t *testing.T, f *connFixture) { f.ends(t) },
		"an empty head": func(t *testing.T, f *connFixture) { f.blurred = true; f.read(t, "\r\n", buffer) },
	}
	for _, size := range []int{1, buffer, buffer + 1, 2 * buffer, maxRecorded} {
		for name, end := range endings {
			t.Run(fmt.Sprintf("%d bytes, then %s", size, name), func(t *testing.T) {
				before := largeHeads.Load()
				f := newConnFixture(t, true)
				f.send(t, size)
				if len(f.recorded) != size || cap(f.recorded) > maxRecorded || f.large != (size > smallHead) {
					t.Errorf("%d bytes are kept in %d, large %v", len(f.recorded), cap(f.recorded), f.large)
				}
				if kept := largeHeads.Load() - before; kept != 1 && size > smallHead || kept != 0 && size <= smallHead {
					t.Errorf("%d large heads", kept)
				}
				end(t, f)
				if kept := largeHeads.Load() - before; kept != 0 || cap(f.recorded) > 2*smallHead {
					t.Errorf("%d large heads and %d bytes at the end", kept, cap(f.recorded))
				}
			})
		}
	}
	t.Run("too many", func(t *testing.T) {
		before := largeHeads.Swap(mostLargeHeads)
		defer largeHeads.Store(before)
		f := newConnFixture(t, true)
		f.send(t, 2*buffer)
		if len(f.recorded) != 0 || !f.begun || largeHeads.Load() != mostLargeHeads {
			t.Errorf("%d bytes are kept, begun %v, %d large heads", len(f.recorded), f.begun, largeHeads.Load())
		}
		if _, moved := f.ends(t); moved {
			t.Error("a head that is not kept was handed over")
		}
	})
}

// send has the client send that much of a head, and the server read it.
func (f *connFixture) send(t *testing.T, n int) {
	t.Helper()
	for ; n > 0; n -= 4096 {
		f.read(t, strings.Repeat("x", min(n, 4096)), 4096)
	}
}
