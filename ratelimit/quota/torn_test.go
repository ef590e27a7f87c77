package quota

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// flickering is an authority that has nothing, and calls the quota used up in every second answer only.
type flickering struct {
	Authority
	answers atomic.Uint64
}

func (f *flickering) Claim(_ context.Context, c Claim) (Answer, error) {
	answer := Answer{Granted: c.Holds, Total: c.Limit, Limit: c.Limit}
	if f.answers.Add(1)%2 == 0 {
		answer.Exhausted, answer.Grace = true, Grace{ID: "1", Limit: c.Limit}
	}
	return answer, nil
}

// A call is admitted by a grant or by a grace, never because an answer arrives while it looks at both: without either
// nothing passes, whatever the other calls learn meanwhile.
func TestTakeReadsTheExhaustionOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	dir := t.TempDir()
	ledger, err := metering.Open(metering.Config{Dir: dir, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	m := NewManager(ledger, &flickering{Authority: NewEmbedded(dir, c.now)})
	defer m.Close(t.Context())
	allowance := hard(1)
	w, _, err := m.window("acme", &allowance)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var answering, taking sync.WaitGroup
	answering.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			m.withClaim(w, func(ctx context.Context) error {
				return m.settle(ctx, w, &allowance, Claim{Holds: w.granted.Load()})
			})
		}
	})
	var passed atomic.Int64
	for range 4 {
		taking.Go(func() {
			for range 1_500_000 {
				if _, err := m.Take(t.Context(), "acme", &allowance); err == nil {
					passed.Add(1)
				}
			}
		})
	}
	taking.Wait()
	close(done)
	answering.Wait()
	if n := passed.Load(); n > 0 {
		t.Errorf("%d calls passed without a unit and without a grace", n)
	}
}
