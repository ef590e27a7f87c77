package regions

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Attempts share one body: each reads it from its beginning as far as it is
// kept, and an error or the end is remembered.
func TestBodyCursors(t *testing.T) {
	x, _ := Begin(t.Context(), Plan{}, Limits{})
	defer x.End()
	b := newRequestBody(x, strings.NewReader("abcdef"), 6, DefaultReplay, nil)
	one, two := b.attempt(), b.attempt()
	part := make([]byte, 4)
	if _, err := io.ReadFull(one, part); err != nil || string(part) != "abcd" {
		t.Fatalf("%q, %v", part, err)
	}
	if all, err := io.ReadAll(two); err != nil || string(all) != "abcdef" {
		t.Errorf("the second attempt read %q, %v", all, err)
	}
	if rest, err := io.ReadAll(one); err != nil || string(rest) != "ef" {
		t.Errorf("the first attempt read %q more, %v", rest, err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	if all, err := io.ReadAll(b.attempt()); err != nil || string(all) != "abcdef" {
		t.Errorf("the third attempt read %q, %v", all, err)
	}
	if !b.replayable() || b.failure() != nil {
		t.Errorf("replayable %v, failure %v", b.replayable(), b.failure())
	}
}

// What is not kept can be sent only while nothing of it was read.
func TestReplayable(t *testing.T) {
	for _, tc := range []struct {
		length        int64
		before, after bool
	}{
		{1, true, true}, {DefaultReplay, true, true}, {DefaultReplay + 1, true, false}, {-1, true, true},
	} {
		x, _ := Begin(t.Context(), Plan{}, Limits{})
		b := newRequestBody(x, strings.NewReader("x"), tc.length, DefaultReplay, nil)
		before := b.replayable()
		_, _ = b.attempt().Read(make([]byte, 1))
		if after := b.replayable(); before != tc.before || after != tc.after {
			t.Errorf("length %d: replayable %v, then %v", tc.length, before, after)
		}
		x.End()
	}
}

// A body is not read any more once its exchange is over: nobody would unblock
// the read.
func TestBodyOfAnEndedExchange(t *testing.T) {
	x, _ := Begin(t.Context(), Plan{}, Limits{})
	b := newRequestBody(x, readerFunc(func([]byte) (int, error) {
		t.Error("the client's body was read")
		return 0, io.EOF
	}), -1, DefaultReplay, nil)
	x.End()
	if n, err := b.attempt().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if b.waiting.Load() || b.failure() != nil {
		t.Errorf("waiting %v, failure %v", b.waiting.Load(), b.failure())
	}
}

// BodyEnded tells a front door that nothing of the upload is left on the
// connection: at the declared length, or at the end of a chunked body.
func TestBodyEnded(t *testing.T) {
	for _, tc := range []struct {
		name   string
		length int64
		reads  []bool // whether it has ended after each read of one byte
	}{
		{"known length", 3, []bool{false, false, true}},
		{"chunked", -1, []bool{false, false, false, true}},
		{"more was declared", 4, []bool{false, false, false, true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x, _ := Begin(t.Context(), Plan{}, Limits{})
			defer x.End()
			if !x.BodyEnded() {
				t.Error("a request without a body has not ended")
			}
			b := newRequestBody(x, strings.NewReader("abc"), tc.length, DefaultReplay, nil)
			x.start(b)
			cursor := b.attempt()
			for i, want := range tc.reads {
				if _, err := cursor.Read(make([]byte, 1)); err != nil && err != io.EOF && !errors.Is(err, ErrBodyMalformed) {
					t.Fatal(err)
				}
				if x.BodyEnded() != want {
					t.Errorf("after read %d: %v, want %v", i+1, !want, want)
				}
			}
		})
	}
}
