package quota

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// replaced is an authority whose server is replaced while some connections still lead to the old one.
type replaced struct {
	*Embedded

	mu       sync.Mutex // guards all below
	claims   string     // the epoch of the server that claims go to
	members  string     // the epoch of the server that all other calls go to
	joined   []string   // the settledIn of each Join
	joinable chan struct{}
}

func (*replaced) Shards() int      { return 1 }
func (*replaced) Shard(string) int { return 0 }

func (r *replaced) set(claims, members string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claims, r.members = claims, members
}

func (r *replaced) Claim(ctx context.Context, c Claim) (Answer, error) {
	a, err := r.Embedded.Claim(ctx, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Epoch = r.claims
	return a, err
}

func (r *replaced) Leave(ctx context.Context, holder string, shard int, settled string) error {
	_, err := r.Join(ctx, holder, shard, settled)
	return err
}

func (r *replaced) Join(_ context.Context, _ string, _ int, settled string) (string, error) {
	<-r.joinable
	r.mu.Lock()
	defer r.mu.Unlock()
	if settled != "" && settled != r.members {
		return "", errEpochChanged
	}
	r.joined = append(r.joined, settled)
	return r.members, nil
}

func (*replaced) Known() bool { return false }

func (r *replaced) Poll(_ context.Context, inquiry Inquiry) (News, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return News{Epoch: r.members, Windows: make([]WindowNews, len(inquiry.Windows))}, nil
}

func (r *replaced) Grants(context.Context, int) (News, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return News{Epoch: r.members}, nil
}

// A gateway has joined another server when that one knows all its grants, not when the old one was told them; and once it has seen
// the new one, it takes no more grants of the old one.
func TestJoiningWhileAServerIsReplaced(t *testing.T) {
	dir := t.TempDir()
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	r := &replaced{
		Embedded: NewEmbedded(dir, time.Now),
		claims:   "1:a",
		members:  "1:a",
		joinable: make(chan struct{}),
	}
	q := NewManager(ledger, r)
	defer q.Close(context.Background())
	r.joinable <- struct{}{} // the first time
	allowance := hard(1_000_000)
	take := func() bool {
		_, err := q.Take(t.Context(), "acme", &allowance)
		return err == nil
	}
	if !becomesTrue(take) {
		t.Fatal("nothing is granted")
	}
	window, _, err := q.window("acme", &allowance)
	if err != nil {
		t.Fatal(err)
	}
	// Another server is there, but claims go to the one before.
	r.set("1:a", "2:b")
	q.observe(r, 0, "2:b")
	held := window.granted.Load()
	for range 5 { // while it joins, and after it could not
		if err := q.claim(t.Context(), window, &Allowance{Quota: allowance.Quota + 1}, false); err != nil {
			t.Fatal(err)
		}
		if now := window.granted.Load(); now != held {
			t.Errorf("%d were held, and %d are with what the server before granted", held, now)
		}
		select {
		case r.joinable <- struct{}{}:
		case <-time.After(10 * time.Millisecond):
		}
	}
	if q.epochs.Load().in(0, "2:b") || len(r.joined) != 1 {
		t.Errorf("it has joined by what the server before was told: %q", r.joined)
	}
	close(r.joinable)
	r.set("2:b", "2:b")
	if !becomesTrue(func() bool {
		q.observe(r, 0, "2:b")
		return q.epochs.Load().in(0, "2:b")
	}) {
		t.Error("it does not join when all goes to the new server")
	}
}

// A server without an epoch begins one with the first claim: while a gateway joins it, and after that failed, the old epoch grants nothing.
func TestEpochOfANewServer(t *testing.T) {
	e := newEpochs()
	e.end(3, "7:a")
	if !e.in(3, "7:a") {
		t.Fatal("it is not in the epoch that it joined")
	}
	if !e.begin(3, "") || e.in(3, "7:a") {
		t.Error("it is in the one before while it joins")
	}
	e.end(3, "")
	if e.in(3, "7:a") {
		t.Error("it is in the one before, though it may have joined another")
	}
	e.end(3, "9:b")
	if !e.in(3, "9:b") || e.in(3, "7:a") {
		t.Error("it is not in the one that it joined last")
	}
}

func becomesTrue(f func() bool) bool {
	deadline, tick := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}
