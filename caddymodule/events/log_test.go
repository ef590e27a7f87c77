package events

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Events outlive the process, whatever stands in their file; two gateways may have one directory.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := NewLog()
		a.Use(Config{Dir: dir, Gateway: "a"})
		a.Add(down)
		stop := running(t, a, Config{Dir: dir, Gateway: "a"})
		time.Sleep(time.Second)
		stop()
		path := filepath.Join(dir, "events", "a.jsonl")
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString("{\"id\":\"x\"}\nnull\n\xff\n{\"id\":\"00-a-1\",\"at\":\"20"); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		a, b := NewLog(), NewLog()
		stopA, stopB := running(t, a, Config{Dir: dir, Gateway: "a"}), running(t, b, Config{Dir: dir, Gateway: "b"})
		time.Sleep(time.Second)
		a.Add(Change{"region", "eu-west-1", "down", "up", ""})
		b.Add(Change{"store", "redis", "up", "down", "timeout"})
		time.Sleep(time.Second)
		want := []string{"a region eu-west-1 up>down", "a region eu-west-1 down>up", "b store redis up>down"}
		expect(t, "of a", a.List(t.Context()).Events, want...)
		expect(t, "of b", b.List(t.Context()).Events, want...)
		stopA()
		stopB()
		// After a week they are gone, and so is the file of the gateway that is.
		if err := os.Chtimes(path, time.Now(), time.Now()); err != nil { // the file system's clock is another
			t.Fatal(err)
		}
		time.Sleep(Age + time.Minute)
		stop = running(t, b, Config{Dir: dir, Gateway: "b"})
		time.Sleep(time.Second)
		expect(t, "after a week", b.List(t.Context()).Events)
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file of a: %v", err)
		}
		stop()
	})
}

// A thing that flaps has a few events, and its last state is among them.
func TestFlapping(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := NewLog()
		stop := running(t, l, Config{Dir: dir, Gateway: "a"})
		for range 200 {
			l.Add(Change{"breaker", "x", "closed", "open", ""})
			l.Add(Change{"breaker", "x", "open", "closed", ""})
			time.Sleep(10 * time.Millisecond)
		}
		l.Add(Change{"breaker", "x", "closed", "open", "for good"})
		l.Add(Change{"region", "r", "up", "down", ""})
		if n := len(l.List(t.Context()).Events); n != burst+1 {
			t.Errorf("%d events", n)
		}
		time.Sleep(2 * time.Minute)
		list := l.List(t.Context()).Events
		last := slices.IndexFunc(list, func(e Event) bool { return e.Why == "for good" })
		if last < 0 || list[last].Omitted != 390 || len(list) != burst+2 {
			t.Errorf("%d events, the last state is %d: %v", len(list), last, told(list[max(0, len(list)-2):]))
		}
		stop()
	})
}

// Whatever one kind, or one thing, has, the others' events stay, and no more than Most are kept.
func TestBound(t *testing.T) {
	var list []Event
	at := time.Unix(1_800_000_000, 0)
	add := func(n int, what string, name func(i int) string) {
		for i := range n {
			at = at.Add(time.Second)
			list = append(list, Event{ID: fmt.Sprint(len(list)), At: at, What: what, Name: name(i)})
		}
	}
	add(50, "region", func(int) string { return "rare" })
	add(30_000, "key_set", func(i int) string { return fmt.Sprintf("https://tenant/%d", i) })
	add(3_000, "backend", func(int) string { return "flapping" })
	add(90, "backend", func(int) string { return "calm" })
	keep, drop := bound(list, Most)
	counts := make(map[string]int)
	for _, e := range keep {
		counts[e.What]++
		counts[e.Name]++
	}
	if len(keep) > Most || len(keep) < Most-5 || len(keep)+len(drop) != len(list) || !slices.IsSortedFunc(keep, compare) {
		t.Errorf("%d are kept and %d not, of %d", len(keep), len(drop), len(list))
	}
	if counts["rare"] != 50 || counts["calm"] != 90 || counts["flapping"] != mostOfOne || counts["https://tenant/29999"] != 1 || counts["https://tenant/0"] != 0 {
		t.Errorf("region %d, calm %d, flapping %d, key sets %d", counts["rare"], counts["calm"], counts["flapping"], counts["key_set"])
	}
	if keep, drop := bound(nil, Most); len(keep)+len(drop) > 0 {
		t.Error("of none there are some")
	}
}

// A Redis that is away loses nothing; gateways with wrong clocks and what others wrote there harm nobody.
func TestShared(t *testing.T) {
	dirA, dirB := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.InfoLevel)
		redis := &hash{fields: map[string]string{"x": "{", "y": `{"id":"z","what":"region","at":"2026-01-01T00:00:00Z"}`}, ahead: 30 * 24 * time.Hour}
		a, b := NewLog(), NewLog()
		stopA := running(t, a, Config{Dir: dirA, Gateway: "a", Shared: redis, Logger: zap.New(core)})
		stopB := running(t, b, Config{Dir: dirB, Gateway: "b", Shared: redis})
		time.Sleep(time.Second)
		a.Add(down)
		time.Sleep(time.Second)
		want := []string{"a region eu-west-1 up>down"}
		expect(t, "of b", b.List(t.Context()).Events, want...)
		if at := b.List(t.Context()).Events[0].At; time.Now().Add(redis.ahead).Sub(at) > 2*time.Second {
			t.Errorf("it was at %s, by the clock of Redis %s", at, time.Now().Add(redis.ahead))
		}
		if len(redis.fields) != 1 {
			t.Errorf("Redis has %v", redis.fields)
		}
		away := errors.New("away")
		redis.set(away, redis.ahead)
		b.Add(Change{"store", "redis", "up", "down", ""})
		a.Add(Change{"store", "redis", "up", "down", ""})
		time.Sleep(time.Minute)
		if answer := a.List(t.Context()); answer.Partial == "" || len(answer.Events) != 2 {
			t.Errorf("while Redis is away: %+v", answer)
		}
		stopB() // it ends meanwhile, and starts again
		b = NewLog()
		stopB = running(t, b, Config{Dir: dirB, Gateway: "b", Shared: redis})
		time.Sleep(time.Second)
		redis.set(nil, redis.ahead)
		time.Sleep(5 * time.Second)
		want = append(want, "a store redis up>down", "b store redis up>down")
		list := a.List(t.Context())
		slices.SortFunc(list.Events, func(a, b Event) int { return strings.Compare(told([]Event{a})[0], told([]Event{b})[0]) })
		expect(t, "after Redis was away "+list.Partial, list.Events, want...)
		// Redis was emptied: each gateway sends its own again within the hour.
		redis.mu.Lock()
		clear(redis.fields)
		redis.mu.Unlock()
		time.Sleep(tidyEvery + time.Minute)
		if n, _ := redis.HashLen(t.Context(), key); n != 3 {
			t.Errorf("%d events after Redis was emptied", n)
		}
		var said []string
		for _, line := range lines.All() {
			said = append(said, line.Message)
		}
		if want := []string{"events not sent to Redis; they are kept in memory", "events are sent to Redis again"}; !slices.Equal(said, want) {
			t.Errorf("logged %q", said)
		}
		stopA()
		stopB()
		time.Sleep(Age + time.Minute)
		stopA = running(t, a, Config{Dir: dirA, Gateway: "a", Shared: redis})
		time.Sleep(time.Second)
		if n, _ := redis.HashLen(t.Context(), key); n != 0 {
			t.Errorf("%d events after a week", n)
		}
		stopA()
	})
}

// More events than may be are given up, in memory while Redis is away and in Redis, and it is said how many.
func TestTooMany(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.WarnLevel)
		redis := &hash{err: errors.New("away")}
		l := NewLog()
		stop := running(t, l, Config{Dir: dir, Gateway: "a", Shared: redis, Logger: zap.New(core)})
		flood := func(from, to int) {
			for i := from; i < to; i++ {
				// A tenant has more key sets than are told apart.
				l.Add(Change{"key_set", fmt.Sprintf("https://tenant/%d", i), "up", "stale", ""})
				if i%mostSubjects == mostSubjects-1 {
					time.Sleep(burst*refill + time.Minute)
				}
			}
		}
		l.Add(down)
		flood(0, 20_000)
		time.Sleep(time.Minute)
		dropped := l.Dropped()
		if n := len(l.events()); n > Most || dropped < 9_000 || dropped > 11_000 || !slices.Contains(told(l.events()), "a region eu-west-1 up>down") {
			t.Errorf("%d events in memory, %d dropped", n, dropped)
		}
		redis.set(nil, 0)
		time.Sleep(time.Minute)
		if n := len(redis.fields); n < Most-2*slack {
			t.Errorf("%d events in Redis", n)
		}
		flood(20_000, 32_000)
		time.Sleep(time.Minute)
		if redis.most > Most || l.Dropped() != dropped {
			t.Errorf("Redis had %d events, %d dropped", redis.most, l.Dropped())
		}
		if n := lines.FilterMessage("events given up before Redis had them: there were too many").Len(); n == 0 {
			t.Error("nothing is said of what was dropped")
		}
		stop()
	})
}

// Who follows gets each event once, those of other gateways too, and goes on where it was.
func TestFollow(t *testing.T) {
	dirA, dirB := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		redis := new(hash)
		a, b := NewLog(), NewLog()
		stopA := running(t, a, Config{Dir: dirA, Gateway: "a", Shared: redis})
		stopB := running(t, b, Config{Dir: dirB, Gateway: "b", Shared: redis})
		a.Add(down)
		time.Sleep(time.Second)
		follow := func(after string) (got *[]Event, end func() error) {
			ctx, cancel := context.WithCancel(t.Context())
			got, done := new([]Event), make(chan error, 1)
			go func() {
				done <- a.Follow(ctx, after, func(e Event) error { *got = append(*got, e); return nil }, func(string) error { return nil })
			}()
			synctest.Wait()
			return got, func() error { cancel(); return <-done }
		}
		got, end := follow("")
		a.Add(Change{"region", "eu-west-1", "down", "up", ""})
		synctest.Wait()
		expect(t, "at once", *got, "a region eu-west-1 down>up")
		b.Add(down)
		time.Sleep(5 * time.Second)
		synctest.Wait() // what is expected was written before
		expect(t, "of the other", *got, "a region eu-west-1 down>up", "b region eu-west-1 up>down")
		redis.set(errors.New("away"), 0)
		a.Add(Change{"store", "redis", "up", "down", ""})
		time.Sleep(10 * time.Second)
		redis.set(nil, 0)
		time.Sleep(10 * time.Second)
		synctest.Wait() // what is expected was written before
		expect(t, "after Redis was away", *got, "a region eu-west-1 down>up", "b region eu-west-1 up>down", "a store redis up>down")
		if err := end(); err != nil {
			t.Error(err)
		}
		again, end := follow((*got)[1].ID)
		time.Sleep(5 * time.Second)
		synctest.Wait() // what is expected was written before
		expect(t, "from where it was", *again, "a store redis up>down")
		if err := end(); err != nil {
			t.Error(err)
		}
		var ends []func() error
		for range mostFollowers {
			_, end := follow("")
			ends = append(ends, end)
		}
		if err := a.Follow(t.Context(), "", nil, nil); !errors.Is(err, ErrFollowers) {
			t.Errorf("one too many: %v", err)
		}
		for _, end := range ends {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
		stopA()
		stopB()
	})
}

// What cannot be written to the disk is written once it can.
func TestDiskThatFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "events"), nil, 0o600); err != nil { // no directory can be there
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.InfoLevel)
		l := NewLog()
		stop := running(t, l, Config{Dir: dir, Gateway: "a", Logger: zap.New(core)})
		l.Add(down)
		time.Sleep(time.Minute)
		if err := os.Remove(filepath.Join(dir, "events")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		stop()
		l = NewLog()
		stop = running(t, l, Config{Dir: dir, Gateway: "a"})
		time.Sleep(time.Second)
		expect(t, "after a restart", l.List(t.Context()).Events, "a region eu-west-1 up>down")
		stop()
		if lines.Len() != 2 {
			t.Errorf("logged %v", lines.All())
		}
	})
}

// A store whose directory was taken away is not made anew.
func TestDirectoryThatIsAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	synctest.Test(t, func(t *testing.T) {
		l := NewLog()
		stop := running(t, l, Config{Dir: dir, Gateway: "a"})
		l.Add(down)
		time.Sleep(time.Minute)
		stop()
	})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the store is made: %v", err)
	}
}

// What happens before the gateway has an id is its event all the same.
func TestBeforeTheID(t *testing.T) {
	l := NewLog()
	l.Add(down)
	l.Use(Config{Dir: t.TempDir(), Gateway: "a"})
	if e := l.events()[0]; e.Gateway != "a" || !strings.HasSuffix(e.ID, "-a-1") {
		t.Errorf("%+v", e)
	}
}

func TestTextsAreCut(t *testing.T) {
	l := NewLog()
	l.Add(Change{"region", strings.Repeat("ä", 300), "up", "down", "\xff" + strings.Repeat("x", 9000)})
	e := l.events()[0]
	if len(e.Name) != maxName || len(e.Why) > maxWhy+2 || !strings.HasPrefix(e.Why, "\uFFFDx") {
		t.Errorf("name of %d bytes, why of %d", len(e.Name), len(e.Why))
	}
}

// A flood of changes of one thing, which is what a flapping backend is.
func BenchmarkAdd(b *testing.B) {
	l := NewLog()
	b.ReportAllocs()
	for b.Loop() {
		l.Add(down)
	}
}
