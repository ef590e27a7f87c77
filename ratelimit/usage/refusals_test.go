package usage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// Files that cannot be read say which line is wrong, and of what format they are not.
func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct {
		format     Format
		text, want string
	}{
		{CSV, "quantity\nmany\n", "line 2: column quantity"},
		{CSV, "window_start\nnever\n", "line 2: column window_start"},
		{CSV, "", "EOF"},
		{CSV, "a,b\n1\n", "line 2"},
		{JSONL, "{\"schema\":\"edgegate.usage.v1\"}\n{", "line 2"},
		{JSONL, "{\"schema\":\"edgegate.usage.v3\"}\n", "use the build that wrote it"},
		{CSV, "quantity\n1\n", "use the build that wrote it"},
		{Parquet, "PAR1", ""},
		{FOCUS, "", "cannot be read"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Read(path, tt.format, func(*Line) error { return nil })
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.format, tt.text, err, tt.want)
		}
	}
	if err := Read(filepath.Join(t.TempDir(), "missing"), CSV, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := Write(nil, FOCUS, nil); err == nil {
		t.Error("FOCUS was written as lines")
	}
}

// A line store says which of its keys and values make no sense.
func TestLineStoreRefuses(t *testing.T) {
	group := string(groupKey("acme", "2026-11"))
	line := string(NewLineStore("", "ledger").lineKey(Key{Start: time.Unix(0, 0), Project: "p", Function: "f", Region: "eu"}))
	all := func(string, string) bool { return true }
	lines := func(b *LineStore) error {
		for _, err := range b.Lines(all) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	charges := func(b *LineStore) error {
		for _, err := range b.Charges(all) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	changes := func(b *LineStore) error { _, err := b.Changes(0, 10); return err }
	find := func(b *LineStore) error {
		_, _, err := b.Find(b.LineID(Key{Start: time.Unix(0, 0), Organization: "acme", Project: "p", Function: "f", Region: "eu"}))
		return err
	}
	for name, tt := range map[string]struct {
		bucket, key, value string
		do                 func(*LineStore) error
		want               string
	}{
		"a key":            {"lines", "123456789", "{}", lines, "is not that of a line"},
		"a line":           {"lines", line, "{", lines, "JSON"},
		"a charge":         {"lines", line, "{", charges, "JSON"},
		"a line to find":   {"lines", line, "{", find, "reading the line"},
		"a change":         {"news", "\x00\x00\x00\x00\x00\x00\x00\x01", "x", changes, "refers to no line"},
		"a change of none": {"news", "\x00\x00\x00\x00\x00\x00\x00\x01", "\x00\x00\x00\x03a\x00b" + line, changes, "refers to no line"},
		"a due page":       {"due", "x", "12345678", func(b *LineStore) error { _, err := b.due("sink"); return err }, "is not that of a page"},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger")
			b.NoSync()
			err := b.with(true, func(tx *bbolt.Tx) error {
				bucket, err := tx.CreateBucketIfNotExists([]byte(tt.bucket))
				if err != nil {
					return err
				}
				inner := map[string]string{"lines": group, "due": "sink"}[tt.bucket]
				if tt.bucket == "news" {
					_, err = tx.CreateBucketIfNotExists(bucketLines)
				}
				if inner != "" {
					bucket, err = bucket.CreateBucketIfNotExists([]byte(inner))
				}
				if err != nil {
					return err
				}
				return bucket.Put([]byte(tt.key), []byte(tt.value))
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.do(b); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "billing.db")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 8192)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lines(NewLineStore(file, "ledger")); err == nil || !strings.Contains(err.Error(), "the line store: "+file+": ") {
		t.Errorf("%v", err)
	}
}
