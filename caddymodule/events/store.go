package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgegate/edgegate/caddymodule/atomicfile"
)

// key is the hash of the events in Redis.
const key = "edge:{fleet}:events"

// Shared is the store that gateways share: a Redis.
type Shared interface {
	HashAll(ctx context.Context, key string) (map[string]string, error)
	HashLen(ctx context.Context, key string) (int, error)
	HashSetAll(ctx context.Context, key string, values map[string]string) error
	HashDelete(ctx context.Context, key string, fields ...string) error
	Time(ctx context.Context) (time.Time, error)
}

// store is where one gateway's events are kept, and where those of others are read.
type store struct {
	dir     string // of the files
	gateway string
	shared  Shared // nil without one
}

// suffix is that of the files of events.
const suffix = ".jsonl"

func (s *store) path() string { return filepath.Join(s.dir, s.gateway+suffix) }

// load reads the gateway's own file. Lines that are no events, such as one that was
// being written when the machine failed, are left out.
func (s *store) load() ([]Event, error) { return readFile(s.path()) }

// maxFile bounds how much of a file is read, in bytes.
const maxFile = Most * 2 * (maxName + maxWhy + 512)

func readFile(path string) (list []Event, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: it has %d bytes, more than events have", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if e, ok := parse(line); ok {
			list = append(list, e)
		}
	}
	return list, nil
}

// parse reads an event that somebody wrote; what no gateway would have written is none.
func parse(text []byte) (e Event, ok bool) {
	if json.Unmarshal(text, &e) != nil || e.ID == "" || e.What == "" || e.At.IsZero() || len(e.ID) > maxName {
		return e, false
	}
	e.Gateway, e.What, e.From, e.To = cut(e.Gateway, maxName), cut(e.What, maxName), cut(e.From, maxName), cut(e.To, maxName)
	e.Name, e.Why = cut(e.Name, maxName), cut(e.Why, maxWhy)
	return e, true
}

func encode(list []Event) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for i := range list {
		if err := encoder.Encode(&list[i]); err != nil {
			return nil, fmt.Errorf("encoding an event: %w", err)
		}
	}
	return text.Bytes(), nil
}

// makeDir makes the directory of the files, but none above it: the store's may be away,
// and one in its place would pass for it.
func (s *store) makeDir() error {
	err := os.Mkdir(s.dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// add appends events to the file.
func (s *store) add(list []Event) error {
	text, err := encode(list)
	if err != nil {
		return err
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	file, err := os.OpenFile(s.path(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// replace writes the file anew.
func (s *store) replace(list []Event) error {
	text, err := encode(list)
	if err != nil {
		return err
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	file, err := atomicfile.Create(s.path(), 0o600)
	if err != nil {
		return err
	}
	defer file.Discard()
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.Commit()
}

// others reads the events of other gateways: from Redis, or, without one, from the files
// of those that have the same directory. Redis has this gateway's too.
func (s *store) others(ctx context.Context) ([]Event, error) {
	if s.shared != nil {
		list, _, err := s.readShared(ctx)
		return list, err
	}
	names, err := s.files()
	if err != nil {
		return nil, err
	}
	var all []Event
	for _, name := range names {
		if path := filepath.Join(s.dir, name); path != s.path() {
			list, err := readFile(path)
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
	}
	return young(all, time.Now()), nil
}

func (s *store) files() (names []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() && strings.HasSuffix(entry.Name(), suffix) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// removeOld removes the files of gateways that have written none for longer than Age.
func (s *store) removeOld(now time.Time) error {
	names, err := s.files()
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(s.dir, name)
		info, err := os.Stat(path)
		if err == nil && path != s.path() && now.Sub(info.ModTime()) > Age {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readShared returns the events in Redis, and the fields there that are none.
func (s *store) readShared(ctx context.Context) (list []Event, invalid []string, err error) {
	fields, err := s.shared.HashAll(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	for id, text := range fields {
		if e, ok := parse([]byte(text)); ok && e.ID == id {
			list = append(list, e)
		} else {
			invalid = append(invalid, id)
		}
	}
	return merge(list), invalid, nil
}

// prune removes from Redis what is too old by its clock, what is no event, and what is
// too many for room more events.
func (s *store) prune(ctx context.Context, room int) (left []Event, err error) {
	now, err := s.shared.Time(ctx)
	if err != nil {
		return nil, err
	}
	list, invalid, err := s.readShared(ctx)
	if err != nil {
		return nil, err
	}
	remove := invalid
	var recent []Event
	for _, e := range list {
		if now.Sub(e.At) > Age {
			remove = append(remove, e.ID)
		} else {
			recent = append(recent, e)
		}
	}
	keep, drop := bound(recent, Most-room)
	for _, e := range drop {
		remove = append(remove, e.ID)
	}
	for len(remove) > 0 {
		n := min(len(remove), 1000)
		if err := s.shared.HashDelete(ctx, key, remove[:n]...); err != nil {
			return nil, err
		}
		remove = remove[n:]
	}
	return keep, nil
}

// send writes events to Redis, with their times by its clock. Repeated, it changes
// nothing that matters.
func (s *store) send(ctx context.Context, list []Event) error {
	count, err := s.shared.HashLen(ctx, key)
	if err != nil {
		return err
	}
	if count+len(list) > Most {
		if _, err := s.prune(ctx, len(list)+slack); err != nil {
			return err
		}
	}
	there, err := s.shared.Time(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	values := make(map[string]string, len(list))
	for _, e := range list {
		e.At = there.Add(-now.Sub(e.At)).UTC()
		text, err := json.Marshal(&e)
		if err != nil {
			return fmt.Errorf("encoding an event: %w", err)
		}
		values[e.ID] = string(text)
	}
	return s.shared.HashSetAll(ctx, key, values)
}
