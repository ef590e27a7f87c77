package quota

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// scripted returns an authority in a server that answers all with one answer, and the requests that it got.
func scripted(t *testing.T, history bool, answer any) (r *Redis, requests func() []string) {
	t.Helper()
	s := redistest.Scripted(t, func([]string) any { return answer })
	return redisAt(t, s.URL(), history), func() (list []string) {
		for _, c := range s.Commands() {
			if c[0] == "EVALSHA" { // without the script's hash and the number of keys
				c = slices.Concat(c[:1], c[3:])
			}
			if n := len(c); n > 4 && c[n-4] == "heard" && c[n-5] != "" { // for how long: that differs
				c[n-3], c[n-1] = "some", "some"
			}
			list = append(list, strings.Join(c, " "))
		}
		return list
	}
}

func claimReply(epoch string) []any {
	return []any{"5", "7", "10", 1, 1, epoch, 1, "4", "10|2000000|77", 1}
}

var november = metering.Cycle{}.At(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))

// The named fields of each request are those that the scripts read, and their answers are understood.
func TestRedisRequests(t *testing.T) {
	key := grantsKey(metering.Shard("acme"))
	t.Run("claim", func(t *testing.T) {
		r, requests := scripted(t, true, claimReply("3:a"))
		c := Claim{
			Holder:       "h",
			Organization: "acme",
			Period:       november,
			Limit:        10,
			Number:       4,
			Holds:        2,
			Wants:        9,
			Starved:      true,
			Grace:        Grace{ID: "5", Limit: 9, Age: time.Millisecond},
		}
		answer, err := r.Claim(t.Context(), c)
		want := Answer{
			Granted:    5,
			Total:      7,
			Limit:      10,
			Exhausted:  true,
			Grace:      Grace{ID: "77", Limit: 10, Age: 2 * time.Second},
			Number:     4,
			Reclaim:    true,
			Epoch:      "3:a",
			Recovering: true,
			Outside:    true,
		}
		if err != nil || answer != want {
			t.Errorf("%+v, %v, want %+v", answer, err, want)
		}
		asked := "EVALSHA " + key + " holder h organization acme window " + november.ID +
			"|acme limit 10 number 4 holds 2 wants 9 starved 1 holders 2 history 1 grace 9|1000|5 epoch  heard 0 silent 0"
		if got := requests(); len(got) != 1 || got[0] != asked {
			t.Errorf("asked %q, want %q", got, asked)
		}
	})
	t.Run("join and leave", func(t *testing.T) {
		r, requests := scripted(t, false, claimReply("3:a"))
		if epoch, err := r.Join(t.Context(), "h", 3, ""); err != nil || epoch != "3:a" {
			t.Errorf("joined %q, %v", epoch, err)
		}
		if _, err := r.Join(t.Context(), "h", 3, "2:b"); !errors.Is(err, errEpochChanged) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("joined by what another server was told: %v", err)
		}
		if err := r.Leave(t.Context(), "h", 3, "3:a"); err != nil {
			t.Error(err)
		}
		if err := r.Leave(t.Context(), "h", 3, noEpoch); !errors.Is(err, errEpochChanged) {
			t.Errorf("left without having said all: %v", err)
		}
		// From the first answer on a hash that is missing was lost.
		want := []string{
			"EVALSHA gw:{q:03}:g holder h change join settled  history 0 epoch  heard 0 silent 0",
			"EVALSHA gw:{q:03}:g holder h change join settled 2:b history 1 epoch 3:a heard some silent some",
			"EVALSHA gw:{q:03}:g holder h change leave settled 3:a history 1 epoch 3:a heard some silent some",
			"EVALSHA gw:{q:03}:g holder h change leave settled - history 1 epoch 3:a heard some silent some",
		}
		if got := requests(); !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
	})
	t.Run("poll", func(t *testing.T) {
		r, requests := scripted(t, false, []any{"3:a", "2", 0, "", "13", "", "12:7", 1, "10|3000000|5", "0", "", ""})
		got, err := r.Poll(t.Context(), Inquiry{
			Holder:  "h",
			Shard:   7,
			Windows: []Claim{{Organization: "acme", Period: november}, {Organization: "b", Period: november}},
			Peers:   []string{"x", "y"},
		})
		news := News{Epoch: "3:a", Members: 2, Windows: []WindowNews{
			{
				Organization: "acme",
				Period:       november.ID,
				Grants:       map[string]Grant{"y": {Holds: 12, Number: 7}},
				Total:        13,
			},
			{
				Organization: "b",
				Period:       november.ID,
				Reclaim:      true,
				Grants:       map[string]Grant{},
				Grace:        Grace{ID: "5", Limit: 10, Age: 3 * time.Second},
			},
		}}
		if err != nil || !reflect.DeepEqual(got, news) {
			t.Errorf("%+v, %v", got, err)
		}
		want := "EVALSHA gw:{q:07}:g holder h peers x|y| window " + november.ID + "|acme window " + november.ID + "|b"
		if got := requests(); len(got) != 1 || got[0] != want {
			t.Errorf("asked %q, want %q", got, want)
		}
	})
}

// What no script answers is as good as no answer: nothing is granted by it.
func TestRedisRefusesStrangeAnswers(t *testing.T) {
	calls := map[string]func(r *Redis) error{
		"claim": func(r *Redis) error { _, err := r.Claim(t.Context(), Claim{Organization: "acme"}); return err },
		"join":  func(r *Redis) error { _, err := r.Join(t.Context(), "h", 0, ""); return err },
		"poll": func(r *Redis) error {
			_, err := r.Poll(t.Context(), Inquiry{Holder: "h", Windows: []Claim{{}}, Peers: []string{"x"}})
			return err
		},
	}
	for name, answer := range map[string]any{
		"nothing":   []any{},
		"no list":   "OK",
		"too long":  []any{"1", "2", "3", 4, 5, "6", 7, "8", "", 10, 11},
		"no number": []any{"one", "2", "3", 4, 5, "6", 7, "8", "", 10},
		"no grace":  []any{"1", "2", "3", 4, 5, "6", 7, "8", "young", 10},
		"an error":  errors.New("OOM command not allowed"),
		"hung up":   redistest.HangUp{},
	} {
		r, _ := scripted(t, false, answer)
		for call, run := range calls {
			if err := run(r); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %s: %v", name, call, err)
			}
		}
	}
}

func TestRedisHeldBy(t *testing.T) {
	fields := map[string]string{
		"g|2026-11|acme|h":     "12:7",
		"g|2026-10|acme|h":     "3:1",
		"g|2026-11|acme|other": "9:9",
		"s|2026-11|acme":       "24",
		"a|h":                  "server",
	}
	key := grantsKey(metering.Shard("acme"))
	s := redistest.Scripted(t, func(c []string) any {
		if c[1] != key {
			return map[string]any{"HLEN": 0, "HSCAN": []any{"0", []any{}}}[c[0]]
		}
		if c[0] == "HLEN" {
			return len(fields)
		}
		pairs := []any{}
		for field, value := range fields {
			pairs = append(pairs, field, value)
		}
		return []any{"0", pairs}
	})
	r := redisAt(t, s.URL(), false)
	claims, err := r.HeldBy(t.Context(), "h")
	slices.SortFunc(claims, func(a, b Claim) int { return int(a.Holds - b.Holds) })
	want := "[{h acme {2026-10} 3} {h acme {2026-11} 12}]"
	got := "["
	for i, c := range claims {
		got += strings.Repeat(" ", min(i, 1)) + fmt.Sprintf("{%s %s {%s} %d}", c.Holder, c.Organization, c.Period.ID, c.Holds)
	}
	if got += "]"; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	fields["g|2026-11|acme|h"] = "many"
	if _, err := r.HeldBy(t.Context(), "h"); err == nil || !strings.Contains(err.Error(), "g|2026-11|acme|h") {
		t.Errorf("a grant that is none: %v", err)
	}
	s.Stop()
	if _, err := r.HeldBy(t.Context(), "h"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
}

// An override is on the list before the field that claims read, which gets what the list says; no command follows one that failed.
func TestRedisOverrides(t *testing.T) {
	key := grantsKey(metering.Shard("acme"))
	for _, tt := range []struct {
		name   string
		o      Override
		answer string
		want   []string
	}{
		{"set", Override{Limit: 20, Version: 7}, "20", []string{"20 version 7", "HSET " + key + " l|acme 20"}},
		{"a newer one is there", Override{Limit: 20, Version: 7}, "30", []string{"20 version 7", "HSET " + key + " l|acme 30"}},
		{"remove", Override{Removed: true, Version: 7}, "default", []string{"default version 7", "HDEL " + key + " l|acme"}},
		{"never set", Override{Removed: true}, "", []string{"default version 0", "HDEL " + key + " l|acme"}},
	} {
		tt.want[0] = "EVALSHA gw:limits organization acme limit " + tt.want[0]
		for fails := range len(tt.want) + 1 {
			n := 0
			s := redistest.Scripted(t, func(c []string) any {
				n++
				if n > fails {
					return errors.New("READONLY You can't write against a read only replica.")
				}
				if c[0] == "EVALSHA" {
					return []any{tt.answer}
				}
				return 1
			})
			err := redisAt(t, s.URL(), false).SetOverride(t.Context(), "acme", tt.o)
			if failed := fails < len(tt.want); errors.Is(err, ErrUnavailable) != failed || (err == nil) == failed {
				t.Errorf("%s: %d commands succeed: %v", tt.name, fails, err)
			}
			var got []string
			for _, c := range s.Commands() {
				if c[0] == "EVALSHA" {
					c = slices.Concat(c[:1], c[3:])
				}
				got = append(got, strings.Join(c, " "))
			}
			if want := tt.want[:min(fails+1, len(tt.want))]; !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", tt.name, got, want)
			}
		}
	}
	for name, tt := range map[string]struct {
		pairs []any
		want  map[string]Override
	}{
		"lost":     {[]any{}, nil},
		"none set": {[]any{"|", ""}, map[string]Override{}},
		"some": {
			[]any{"|", "", "acme", "20", "bad", "x", "a", "30", "|a", "7", "b", "default", "|b", "8", "|c", "9"},
			map[string]Override{
				"acme": {Limit: 20},
				"a":    {Limit: 30, Version: 7},
				"b":    {Removed: true, Version: 8},
				"c":    {Removed: true, Version: 9}, // by a build that keeps no versions
			},
		},
	} {
		r := redisAt(t, redistest.Scripted(t, func(c []string) any {
			if c[0] == "HLEN" {
				return len(tt.pairs) / 2
			}
			return []any{"0", tt.pairs}
		}).URL(), false)
		got, err := r.Overrides(t.Context())
		if err != nil || !maps.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, tt.want)
		}
	}
	r, _ := scripted(t, false, redistest.HangUp{})
	if _, err := r.Overrides(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without an answer: %v", err)
	}
}
