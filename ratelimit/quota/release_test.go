package quota

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// knownPeers is a Peers with fixed answers.
type knownPeers struct {
	presence map[string]metering.Presence
	sums     []metering.Entry
	err      error // of all methods
	lost     []string
}

func (p *knownPeers) Peers(context.Context) (map[string]metering.Presence, error) {
	return p.presence, p.err
}

func (p *knownPeers) PeerSums(context.Context, string) ([]metering.Entry, error) {
	return p.sums, p.err
}

func (p *knownPeers) MarkLost(_ context.Context, instance string) error {
	p.lost = append(p.lost, instance)
	return p.err
}

// silent is the presence of a gateway that was heard of some time ago, and said the same for some time.
func silent(ago, unchanged time.Duration) metering.Presence {
	return metering.Presence{At: time.Now().Add(-ago), Silent: ago, Unchanged: unchanged}
}

// A gateway is lost for good: what it has not used by its sums is free for others, and nobody waits for it any more.
func TestRelease(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	gone := openShared(t, s, t.TempDir(), c)
	gone.served(20)
	gone.stop()
	gone.stopped.Wait()
	defer gone.ledger.Close()
	id := gone.ledger.Instance()
	if held := s.held(id); held <= 20 {
		t.Fatalf("%d are held", held)
	}
	operator := openShared(t, s, t.TempDir(), c)
	defer operator.close()
	used := func(units uint64) metering.Entry {
		e := metering.Entry{
			Instance: id,
			Span:     metering.Monthly,
			ID:       november.ID,
			Subject:  metering.Subject{Organization: "acme"},
		}
		e.Invocations = units
		return e
	}
	other := used(500)
	other.Instance = "other"
	hour := used(20)
	hour.Span = metering.Hourly
	peers := &knownPeers{
		presence: map[string]metering.Presence{
			id:       silent(time.Hour, time.Minute),
			"left":   {Left: true},
			"here":   silent(0, 0),
			"behind": silent(10*time.Minute, 5*time.Second), // by its own clock, which is wrong
		},
		sums: []metering.Entry{used(12), used(8), other, hour},
	}
	for instance, want := range map[string]string{
		"here":   "heard of",
		"behind": "its clock may be wrong",
		"nobody": "left (ended)",
	} {
		if _, err := operator.Release(t.Context(), peers, instance); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is released: %v", instance, err)
		}
	}
	held := func() []HeldUnits {
		t.Helper()
		held, err := operator.HeldByAbsent(t.Context(), peers, peers.sums)
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	want := HeldUnits{
		Organization: "acme",
		Period:       november.ID,
		Gateway:      id,
		Units:        s.held(id) - 20,
		Seen:         peers.presence[id].At,
		Silent:       time.Hour,
	}
	if got := held(); len(got) != 1 || got[0] != want {
		t.Errorf("%+v are held, want %+v", got, want)
	}
	// Of a gateway that Redis has forgotten nobody knows what it used.
	known := peers.presence[id]
	delete(peers.presence, id)
	if got := held(); len(got) != 1 || !got[0].Seen.IsZero() || got[0].Left {
		t.Errorf("%+v are held by one that is forgotten", got)
	}
	if _, err := operator.Release(t.Context(), peers, id); err == nil || !strings.Contains(err.Error(), "lost what it used") {
		t.Errorf("one that is forgotten is released: %v", err)
	}
	peers.presence[id] = silent(time.Second, time.Second)
	if got := held(); len(got) != 0 {
		t.Errorf("%+v are held, and the gateway is there", got)
	}
	peers.presence[id] = known
	want.Seen, want.Silent = time.Time{}, 0
	if got, err := operator.Release(t.Context(), peers, id); err != nil || len(got) != 1 || got[0] != want {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
	if got := held(); len(got) != 0 {
		t.Errorf("%+v are held after the release", got)
	}
	if held := s.held(id); held != 20 {
		t.Errorf("%d are held, 20 were used", held)
	}
	if !slices.Equal(peers.lost, []string{id}) || !slices.Contains(s.left, id) {
		t.Errorf("lost are %v, and the shards were left by %v", peers.lost, s.left)
	}
}

func TestReleaseFails(t *testing.T) {
	c := newClock()
	alone := openGateway(t, t.TempDir(), c, hard(10))
	defer alone.close()
	long := map[string]metering.Presence{"gone": silent(time.Hour, time.Minute)}
	if _, err := alone.Release(t.Context(), &knownPeers{presence: long}, "gone"); !errors.Is(err, ErrNotShared) {
		t.Errorf("without a shared store: %v", err)
	}
	s := startShards(t, c)
	g := openShared(t, s, t.TempDir(), c)
	defer g.close()
	broken := errors.New("broken")
	if _, err := g.Release(t.Context(), &knownPeers{err: broken}, "gone"); !errors.Is(err, broken) {
		t.Errorf("without peers: %v", err)
	}
	fails := func(names ...string) func([]string) any {
		return func(command []string) any {
			for _, name := range names {
				if command[0] == name || slices.Contains(command, name) {
					return errors.New("ERR on purpose")
				}
			}
			return nil
		}
	}
	for _, names := range [][]string{{"HSCAN"}, {"leave"}} {
		s.change(func() { s.fails = fails(names...) })
		peers := &knownPeers{presence: long}
		if _, err := g.Release(t.Context(), peers, "gone"); !errors.Is(err, ErrUnavailable) || len(peers.lost) > 0 {
			t.Errorf("%v fails: %v, lost are %v", names, err, peers.lost)
		}
	}
	s.change(func() { s.fails = nil })
}
