package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
)

func TestDrainStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "drains.json")
	shared := new(hashes)
	s := NewDrainStore(path, shared)
	if orders, err := s.Load(); err != nil || len(orders) != 0 {
		t.Errorf("without a file: %v, %v", orders, err)
	}
	drain := regions.Drain{Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Over: time.Minute}
	if err := s.Save(t.Context(), "eu-west-1", drain); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveLocally("us-east-1", drain); err != nil {
		t.Fatal(err)
	}
	orders, err := NewDrainStore(path, nil).Load()
	if err != nil || len(orders) != 2 || orders["eu-west-1"] != drain || orders["us-east-1"] != drain {
		t.Errorf("the file has %v, %v", orders, err)
	}
	shared.fields[drainsKey]["bad"] = "{"
	shared.fields[drainsKey]["long"] = `{"since":"2026-01-02T03:04:05Z","over":9000000000000000}`
	orders, invalid, err := s.Shared(t.Context())
	slices.Sort(invalid)
	if err != nil || len(orders) != 1 || orders["eu-west-1"] != drain || !slices.Equal(invalid, []string{"bad", "long"}) {
		t.Errorf("Redis has %v and, invalid, %v; %v", orders, invalid, err)
	}
	// Both layouts are read by gateways of other builds.
	const order = `{"since":"2026-01-02T03:04:05Z","over":60000000000}`
	if text := shared.fields["edge:{fleet}:drains"]["eu-west-1"]; text != order {
		t.Errorf("Redis has %s, want %s", text, order)
	}
	const file = "{\n\t\"eu-west-1\": {\n\t\t\"since\": \"2026-01-02T03:04:05Z\",\n\t\t\"over\": 60000000000\n\t},\n" +
		"\t\"us-east-1\": {\n\t\t\"since\": \"2026-01-02T03:04:05Z\",\n\t\t\"over\": 60000000000\n\t}\n}"
	if text, err := os.ReadFile(path); err != nil || string(text) != file {
		t.Errorf("the file is %s, want %s; %v", text, file, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("the directory has %v, %v", left, err)
	}
}

// An order that the others will not hear of is not kept here either.
func TestDrainStoreAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drains.json")
	shared := &hashes{err: errors.New("away")}
	s := NewDrainStore(path, shared)
	if err := s.Save(t.Context(), "eu-west-1", regions.Drain{Over: time.Minute}); !errors.Is(err, shared.err) {
		t.Errorf("saving: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
	if _, _, err := s.Shared(t.Context()); !errors.Is(err, shared.err) {
		t.Errorf("reading: %v", err)
	}
}

// A damaged file is an error when it is read, and is replaced by the next order.
func TestDrainStoreDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "drains.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewDrainStore(path, nil)
	if _, err := s.Load(); err == nil {
		t.Error("a damaged file is read without an error")
	}
	if err := s.Save(t.Context(), "eu-west-1", regions.Drain{Over: time.Minute}); err != nil {
		t.Error(err)
	}
	if orders, err := s.Load(); err != nil || len(orders) != 1 {
		t.Errorf("the file has %v, %v", orders, err)
	}
	// A path that cannot be a file.
	if err := NewDrainStore(filepath.Join(path, "x", "drains.json"), nil).Save(t.Context(), "eu-west-1", regions.Drain{}); err == nil {
		t.Error("an order is saved below a file")
	}
}
