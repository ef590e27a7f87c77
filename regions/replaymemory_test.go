package regions

import (
	"bytes"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Contract 9.6: whatever is read, sent again, settled and released, in any order, the books are right, a body is kept whole or not
// at all, and cursors never skip a byte.
func TestReplayMemoryBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory := NewReplayMemory()
		memory.Resize(rapid.Int64Range(1, 4096).Draw(t, "budget"))
		type upload struct {
			body   *requestBody
			cursor io.Reader
			sent   []byte // by the cursor
			over   bool
		}
		var uploads []*upload
		content := pattern(1 << 12)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(uploads) == 0 || rapid.IntRange(0, 3).Draw(t, "new") == 0 {
				size := rapid.IntRange(1, len(content)).Draw(t, "size")
				length := int64(size)
				if rapid.Bool().Draw(t, "chunked") {
					length = -1
				}
				x, _ := Begin(t.Context(), Plan{}, Limits{})
				body := newRequestBody(x, bytes.NewReader(content[:size]), length, rapid.Int64Range(1, 4096).Draw(t, "limit"), memory)
				x.start(body)
				uploads = append(uploads, &upload{body: body, cursor: body.attempt()})
			}
			u := uploads[rapid.IntRange(0, len(uploads)-1).Draw(t, "upload")]
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				u.body.kept.settle()
			case 1:
				u.body.x.End()
				u.over = true
			case 2:
				if u.body.replayable() && !u.body.kept.settled {
					u.cursor, u.sent = u.body.attempt(), nil
				}
			default:
				p := make([]byte, rapid.IntRange(1, 2000).Draw(t, "read"))
				n, err := u.cursor.Read(p)
				u.sent = append(u.sent, p[:n]...)
				if !bytes.Equal(u.sent, content[:len(u.sent)]) {
					t.Fatal("a byte was skipped")
				}
				if err == io.EOF && int64(len(u.sent)) < u.body.read.Load() {
					t.Fatal("an end was invented")
				}
			}
			total := int64(0)
			for _, u := range uploads {
				k := &u.body.kept
				total += int64(cap(k.bytes))
				if k.whole && int64(len(k.bytes)) != u.body.read.Load() || !k.whole && k.bytes != nil {
					t.Fatalf("%d of %d bytes are kept, whole %v", len(k.bytes), u.body.read.Load(), k.whole)
				}
				if k.length >= 0 && int64(cap(k.bytes)) > k.length || u.over && k.bytes != nil {
					t.Fatalf("%d bytes for a body of %d, over %v", cap(k.bytes), k.length, u.over)
				}
			}
			if stats := memory.Stats(); stats.Bytes != total || total > stats.Most {
				t.Fatalf("%d bytes are kept, said are %+v", total, stats)
			}
		}
		for _, u := range uploads {
			u.body.x.End()
		}
		if n := memory.Stats().Bytes; n != 0 {
			t.Fatalf("%d bytes at the end", n)
		}
	})
}

// Contract 9.6: with the memory used up, calls go on as before; only, what breaks is not sent a second time. What others gave back
// serves the next ones.
func TestReplayMemoryIsUsedUp(t *testing.T) {
	const size = 8 << 10
	var breaks atomic.Bool
	held := make(chan struct{})
	arrived := make(chan struct{}, 100)
	once := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if breaks.Load() {
			panic(http.ErrAbortHandler)
		}
		arrived <- struct{}{}
		<-held
	})
	other := &recorder{}
	w := newWorld(t, region(t, first, serve(t, once)), region(t, second, serve(t, other)))
	w.Replay.Resize(4 * size)
	ended := make(chan error, 100)
	send := func() {
		x, ctx := w.begin(t, w.nearest(first, second), Limits{})
		req := newRequest(ctx, http.MethodPost, onlyReader{bytes.NewReader(pattern(size))}, size)
		req.Header.Set("Idempotency-Key", "k")
		go func() {
			res, err := w.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
			}
			x.End()
			ended <- err
		}()
	}
	for range 6 {
		send()
		<-arrived
	}
	if stats := w.Replay.Stats(); stats.Bytes != 4*size || stats.Refused != 2 {
		t.Errorf("%+v", stats)
	}
	breaks.Store(true)
	if send(); <-ended == nil || len(other.got()) != 0 {
		t.Errorf("a body that was not kept was sent again, or a part of it: %d", len(other.got()))
	}
	breaks.Store(false)
	close(held)
	for range 6 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	breaks.Store(true)
	if send(); <-ended != nil || len(other.got()) != 1 {
		t.Errorf("a body that was kept was not sent again: %d", len(other.got()))
	}
	checkOnce(t, other, pattern(size))
}

// Contract 9.6: with the head of an answer nothing is kept any more, also of a body that still comes in, and nobody waits for it.
func TestReplayMemoryIsGivenBackAtTheHead(t *testing.T) {
	w := newWorld(t, region(t, first, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_, _ = io.ReadFull(r.Body, make([]byte, 1000))
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		_, _ = io.Copy(w, r.Body)
	}))))
	x, ctx := w.begin(t, w.nearest(first), Limits{})
	pipe, upload := io.Pipe()
	go func() { _, _ = upload.Write(pattern(1000)) }() // and the rest later
	res, err := w.RoundTrip(newRequest(ctx, http.MethodPost, pipe, 3000))
	if err != nil {
		t.Fatal(err)
	}
	if n := w.Replay.Stats().Bytes; n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
	go func() {
		_, _ = upload.Write(pattern(3000)[1000:])
		_ = upload.Close()
	}()
	rest, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(rest, pattern(3000)[1000:]) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	_ = res.Body.Close()
	if n := w.Replay.Stats().Bytes; n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
	x.End()
}

// What a body takes grows with what came of it: uploads that have only begun do not take what they may take in the end.
func TestReplayMemoryGrows(t *testing.T) {
	memory := NewReplayMemory()
	x, _ := Begin(t.Context(), Plan{}, Limits{Start: time.Now()})
	defer x.End()
	body := newRequestBody(x, bytes.NewReader(pattern(1<<16)), 1<<16, 1<<20, memory)
	x.start(body)
	cursor := body.attempt()
	for read := 0; read < 1<<16; read += 100 {
		if took := memory.Stats().Bytes; took > int64(2*read) {
			t.Fatalf("%d bytes for %d that came", took, read)
		}
		if _, err := io.ReadFull(cursor, make([]byte, min(100, 1<<16-read))); err != nil {
			t.Fatal(err)
		}
	}
	if took := memory.Stats().Bytes; took != 1<<16 {
		t.Errorf("%d bytes for the whole", took)
	}
}
