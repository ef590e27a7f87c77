package projects

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestNewFollowerRefuses(t *testing.T) {
	_, err := NewFollower(FollowerConfig{})
	if err == nil || !strings.Contains(err.Error(), "no store") || !strings.Contains(err.Error(), "nobody to apply") {
		t.Errorf("error %v", err)
	}
}

// What is in the store is applied, sorted and with its place, and only what
// differs is applied again.
func TestFollow(t *testing.T) {
	store := newFakeStore()
	store.set(OrganizationsKey, "acme", `{"plan":"pro"}`)
	store.set(ProjectsKey, "b", `{"ref":"b"}`)
	store.set(ProjectsKey, "a", `{}`)
	follow(t, store, func(t *testing.T, f *followed) {
		if n := f.after(100 * time.Millisecond); n != 1 {
			t.Fatalf("applied %d times", n)
		}
		want := "edge:{projects}:organizations acme|acme|{\"plan\":\"pro\"}\n" +
			"edge:{projects}:projects a|a|{}\nedge:{projects}:projects b|b|{\"ref\":\"b\"}\n"
		if got := f.last(); got != want {
			t.Errorf("applied\n%s, want\n%s", got, want)
		}
		if state := f.State(); !state.Watching || state.Err != nil || state.Synced.IsZero() {
			t.Errorf("state %+v", state)
		}

		store.tell()
		if n := f.after(time.Second); n != 1 {
			t.Errorf("applied %d times, though nothing changed", n)
		}
		store.set(ProjectsKey, "a", `{"domains":[]}`)
		store.tell()
		if n := f.after(time.Second); n != 2 || !strings.Contains(f.last(), `|{"domains":[]}`) {
			t.Errorf("applied %d times: %s", n, f.last())
		}
		// the same value, under another field, or in the other hash, is a change
		store.set(ProjectsKey, "a", "")
		store.set(ProjectsKey, "c", `{"domains":[]}`)
		store.tell()
		if n := f.after(time.Second); n != 3 {
			t.Errorf("applied %d times", n)
		}
		store.set(ProjectsKey, "c", "")
		store.set(OrganizationsKey, "c", `{"domains":[]}`)
		store.tell()
		if n := f.after(time.Second); n != 4 {
			t.Errorf("applied %d times", n)
		}
	})
}

// A field's name may be anything, and must not break a message in two.
func TestFollowPath(t *testing.T) {
	list := records(ProjectsKey, map[string]string{"a\nb": "{}", "é": "{}", "plain": "{}"})
	for i, want := range []string{`"a\nb"`, "plain", `"é"`} {
		if list[i].Path != ProjectsKey+" "+want {
			t.Errorf("path %q, want %q at its end", list[i].Path, want)
		}
	}
}

// Every change is applied within a second, however many there are.
func TestFollowWithinASecond(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		for i := range 40 {
			value := fmt.Sprintf(`{"n":%d}`, i)
			store.set(ProjectsKey, "a", value)
			store.tell()
			for range 9 {
				f.after(100 * time.Millisecond)
				store.tell() // somebody else's change
			}
			f.after(99 * time.Millisecond)
			if got := f.last(); !strings.Contains(got, value) {
				t.Fatalf("a second after %s: %s", value, got)
			}
		}
	})
}

// A burst is read once, a stream of changes four times a second at most.
func TestFollowGathers(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		before := store.readCount()
		for range 20 {
			store.tell()
			f.after(5 * time.Millisecond)
		}
		f.after(time.Second)
		if n := store.readCount() - before; n != 1 {
			t.Errorf("a burst of 100 ms was read %d times", n)
		}
		before = store.readCount()
		for range 1000 {
			store.tell()
			f.after(10 * time.Millisecond)
		}
		if n := store.readCount() - before; n < 10 || n > 40 {
			t.Errorf("10 s of changes were read %d times", n)
		}
	})
}

// Under a stream of changes large content is not read more than once a second,
// and what takes long to read not more than a third of the time.
func TestFollowRests(t *testing.T) {
	for _, tc := range []struct {
		name  string
		size  int
		takes time.Duration // of each of the two hashes
		least time.Duration // from one start to the next
	}{
		{"small", 10, 0, restLeast},
		{"large", restLarge + 1, 0, time.Second},
		{"slow", 10, 500 * time.Millisecond, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := newFakeStore()
			store.takes = tc.takes
			store.set(ProjectsKey, "a", strings.Repeat(" ", tc.size))
			follow(t, store, func(t *testing.T, f *followed) {
				for range 2000 {
					store.tell()
					f.after(10 * time.Millisecond)
				}
				store.mu.Lock()
				defer store.mu.Unlock()
				if len(store.reads) < 3 {
					t.Fatalf("%d reads", len(store.reads))
				}
				for i := range store.reads[1:] {
					if d := store.reads[i+1].Sub(store.reads[i]); d < tc.least || d > tc.least+time.Second {
						t.Errorf("read after %v, want about %v", d, tc.least)
					}
				}
			})
		})
	}
}

// A gateway that takes long to build what it read reads again as soon as it is
// done, if there is something to read.
func TestFollowSlowBuild(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.build.Store(int64(5 * time.Second))
		f.after(10 * time.Second)
		store.set(ProjectsKey, "a", `{"n":1}`)
		store.tell()
		f.after(time.Second) // is being built
		store.set(ProjectsKey, "a", `{"n":2}`)
		store.tell()
		f.after(5*time.Second + time.Second + 5*time.Second)
		if got := f.last(); !strings.Contains(got, `{"n":2}`) {
			t.Errorf("a second and two builds after the first change: %s", got)
		}
	})
}

// A message may get lost: a minute later the change is applied all the same.
func TestFollowResyncs(t *testing.T) {
	store := newFakeStore()
	follow(t, store, func(t *testing.T, f *followed) {
		f.after(time.Second)
		store.set(ProjectsKey, "a", "{}")
		if n := f.after(50 * time.Second); n != 1 {
			t.Fatalf("applied %d times", n)
		}
		if n := f.after(20 * time.Second); n != 2 {
			t.Errorf("applied %d times", n)
		}
		before := store.readCount()
		f.after(10 * time.Minute)
		if n := store.readCount() - before; n < 9 || n > 12 {
			t.Errorf("%d reads in ten quiet minutes", n)
		}
	})
}
