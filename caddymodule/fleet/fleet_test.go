package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// hashes is a Store in memory; err is what it answers while it is away.
type hashes struct {
	fields map[string]map[string]string
	err    error
}

func (h *hashes) HashAll(_ context.Context, key string) (map[string]string, error) {
	return maps.Clone(h.fields[key]), h.err
}

func (h *hashes) HashSet(_ context.Context, key, field, value string) error {
	if h.err == nil {
		if h.fields == nil {
			h.fields = make(map[string]map[string]string)
		}
		if h.fields[key] == nil {
			h.fields[key] = make(map[string]string)
		}
		h.fields[key][field] = value
	}
	return h.err
}

func (h *hashes) HashDelete(_ context.Context, key string, fields ...string) error {
	for _, field := range fields {
		delete(h.fields[key], field)
	}
	return h.err
}

// beatOf is the heartbeat of a gateway that is 9 ms from us-east-1 and has lost eu-west-1.
func beatOf(id, region string, at time.Time) Heartbeat {
	return Heartbeat{
		Gateway:  id,
		Location: Location{Region: region, Source: regions.LocationConfigured},
		At:       at,
		Regions: map[string]ObservedRegion{
			"us-east-1": {new(9.0), regions.StateUp},
			"eu-west-1": {nil, regions.StateDown},
			"mars":      {nil, regions.StateUp},
		},
	}
}

func put(t *testing.T, h *hashes, field string, b Heartbeat) {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.HashSet(t.Context(), gatewaysKey, field, string(text)); err != nil {
		t.Fatal(err)
	}
}

// Gateways that are silent are not heard, and an hour later their heartbeats are removed. What is no heartbeat stays.
func TestExchange(t *testing.T) {
	now, store, f := time.Now(), new(hashes), New()
	f.now = func() time.Time { return now }
	if heard, ok := f.Heard(); ok || heard != nil {
		t.Errorf("before: heard %+v", heard)
	}
	put(t, store, "a", beatOf("a", "eu-west-1", now.Add(-10*time.Second)))
	put(t, store, "silent", beatOf("silent", "eu-west-1", now.Add(-time.Minute)))
	put(t, store, "old", beatOf("old", "eu-west-1", now.Add(-2*time.Hour)))
	put(t, store, "other", beatOf("b", "us-east-1", now))
	store.fields[gatewaysKey]["bad"] = "{"
	if err := f.Exchange(t.Context(), store, beatOf("b", "us-east-1", now)); err != nil {
		t.Fatal(err)
	}
	// A heartbeat that seems old may be of a clock that is behind: it goes after it was seen to stay the same.
	if len(store.fields[gatewaysKey]) != 6 {
		t.Errorf("at first sight: %v", store.fields[gatewaysKey])
	}
	now = now.Add(silentAfter + time.Second)
	put(t, store, "a", beatOf("a", "eu-west-1", now))
	if err := f.Exchange(t.Context(), store, beatOf("b", "us-east-1", now)); err != nil {
		t.Fatal(err)
	}
	heard, ok := f.Heard()
	if !ok || len(heard) != 2 || heard[0].Gateway != "a" || heard[1].Gateway != "b" {
		t.Errorf("heard %+v, %t", heard, ok)
	}
	if left, want := slices.Sorted(maps.Keys(store.fields[gatewaysKey])), []string{"a", "b", "bad", "other", "silent"}; !slices.Equal(left, want) {
		t.Errorf("Redis has %v, want %v", left, want)
	}
	// The JSON of a heartbeat is read by gateways of other builds.
	if text := store.fields[gatewaysKey]["b"]; !strings.HasPrefix(text, `{"gateway":"b","host":"","version":"","location":{"region":"us-east-1","source":"configured"},"at":"`) ||
		!strings.Contains(text, `"regions":{"eu-west-1":{"rtt_ms":null,"state":"down"}`) {
		t.Errorf("heartbeat %s", text)
	}
}

// A gateway is heard as long as its heartbeat changes, and for 15 s more, whatever its clock says and however it is set.
func TestClocksOfOthers(t *testing.T) {
	for _, ahead := range []time.Duration{-3 * time.Hour, -10 * time.Minute, -20 * time.Second, 0, 10 * time.Minute, 3 * time.Hour} {
		now, store, f := time.Now(), new(hashes), New()
		f.now = func() time.Time { return now }
		listen := func() (heard int) {
			if err := f.Exchange(t.Context(), store, Heartbeat{}); err != nil {
				t.Fatal(err)
			}
			list, _ := f.Heard()
			return len(list)
		}
		for beat := range 30 {
			put(t, store, "a", beatOf("a", "eu-west-1", now.Add(ahead)))
			if n := listen(); n != 1 && beat > 0 {
				t.Fatalf("%s ahead: it is not heard at beat %d", ahead, beat)
			}
			if len(store.fields[gatewaysKey]) != 1 {
				t.Fatalf("%s ahead: what it says was removed", ahead)
			}
			now = now.Add(Interval)
		}
		now = now.Add(silentAfter - Interval)
		if n := listen(); n != 1 {
			t.Errorf("%s ahead: silent after 15 s", ahead)
		}
		now = now.Add(time.Second)
		if n := listen(); n != 0 {
			t.Errorf("%s ahead: heard after 16 s", ahead)
		}
		now = now.Add(forgottenAfter)
		if listen() != 0 || len(store.fields[gatewaysKey]) != 0 {
			t.Errorf("%s ahead: there after an hour", ahead)
		}
	}
}

// Without an id nothing is written. While the store is away, what was heard last stays.
func TestExchangeFails(t *testing.T) {
	store, f := new(hashes), New()
	if err := f.Exchange(t.Context(), store, Heartbeat{}); err != nil || len(store.fields[gatewaysKey]) != 0 {
		t.Errorf("without an id: %v, %v", err, store.fields)
	}
	if heard, ok := f.Heard(); !ok || len(heard) != 0 {
		t.Errorf("alone: heard %v, %t", heard, ok)
	}
	if err := f.Exchange(t.Context(), store, beatOf("a", "eu-west-1", time.Now())); err != nil {
		t.Fatal(err)
	}
	store.err = errors.New("away")
	if err := f.Exchange(t.Context(), store, beatOf("a", "eu-west-1", time.Now())); !errors.Is(err, store.err) {
		t.Errorf("away: %v", err)
	}
	if heard, ok := f.Heard(); !ok || len(heard) != 1 {
		t.Errorf("away: heard %v, %t", heard, ok)
	}
}

// Clients of a country that another gateway is much nearer to are misrouted.
func TestMisrouted(t *testing.T) {
	f, store, now := New(), new(hashes), time.Now()
	frankfurt := geo.Place{Region: "eu-central-1"}
	for _, country := range []string{"JP", "DE", "JP", "", "j", "zz", "KR", "QX"} {
		f.CountCall(geo.Client{Country: country})
	}
	if got := f.Misrouted("own", frankfurt); got == nil || len(got) != 0 {
		t.Errorf("alone: %+v", got)
	}
	put(t, store, "paris", beatOf("paris", "eu-west-3", now))
	put(t, store, "unknown", beatOf("unknown", "", now))
	tokyo := beatOf("tokyo", "", now)
	tokyo.Location = Location{Coordinates: &[2]float64{35.7, 139.7}, Source: regions.LocationConfigured}
	put(t, store, "tokyo", tokyo)
	if err := f.Exchange(t.Context(), store, beatOf("own", "ap-northeast-1", now)); err != nil {
		t.Fatal(err)
	}
	got := f.Misrouted("own", frankfurt)
	if len(got) != 2 || got[0].Country != "JP" || got[0].Calls != 2 || got[0].Gateway != "tokyo" || got[0].Saves < 100 || got[1].Country != "KR" {
		t.Errorf("got %+v", got)
	}
	if got := f.Misrouted("own", geo.Place{}); len(got) != 0 {
		t.Errorf("from an unknown place: %+v", got)
	}
}

func TestViewAt(t *testing.T) {
	own := &regions.View{Order: []int{0, 1, 2}}
	for _, name := range []string{"eu-west-1", "us-east-1", "sa-east-1"} {
		own.Regions = append(own.Regions, regions.RegionView{
			Region:  &regions.Region{Name: name},
			State:   regions.StateUp,
			Healthy: 1,
			Score:   time.Second,
		})
	}
	f, store := New(), new(hashes)
	if _, ok := f.ViewAt("tokyo", own); ok {
		t.Error("there is a view of a gateway that is not heard")
	}
	if err := f.Exchange(t.Context(), store, beatOf("tokyo", "ap-northeast-1", time.Now())); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokyo", "ap-northeast-1"} {
		view, ok := f.ViewAt(name, own)
		if !ok {
			t.Fatalf("no view at %s", name)
		}
		if r := view.Regions[1]; r.State != regions.StateUp || r.Distance.RTT != 9*time.Millisecond || !r.Known {
			t.Errorf("at %s, us-east-1 is %+v", name, r)
		}
		if r := view.Regions[0]; r.State != regions.StateDown || r.Healthy != 0 || r.Known {
			t.Errorf("at %s, eu-west-1 is %+v", name, r)
		}
		if r := view.Regions[2]; r.Score != time.Second {
			t.Errorf("at %s, sa-east-1, which it does not have, is %+v", name, r)
		}
		if view.Order[0] != 1 || view.Location.Place.Region != "ap-northeast-1" {
			t.Errorf("at %s, the order is %v and the place %+v", name, view.Order, view.Location)
		}
	}
	if own.Order[0] != 0 || own.Regions[0].State != regions.StateUp {
		t.Error("the gateway's own view was changed")
	}
}
