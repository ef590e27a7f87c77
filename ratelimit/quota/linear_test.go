package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// leaseModel applies the rule of grants to claims one after another. all is the number of holders that share the limit from the
// start; 0: each shares it from its first claim on.
func leaseModel(limit int64, all int) porcupine.Model {
	type state struct {
		granted [3]int64
		number  [3]uint64
		total   int64
	}
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(from, input, output any) (bool, any) {
			s, c, a := from.(state), input.(Claim), output.(Answer)
			l := lease{Total: s.total, Holders: make(map[string]holder)}
			for i := range s.granted {
				h := holder{Granted: s.granted[i], Number: s.number[i]}
				if all == 0 && h.Number == 0 { // it has not come yet
					h.Seen = -2 * presentFor.Microseconds()
				}
				l.Holders[fmt.Sprint(i)] = h
			}
			c.Starved = false
			want := l.settle(c, limit, instant{micro: 1})
			for i := range s.granted {
				h := l.Holders[fmt.Sprint(i)]
				s.granted[i], s.number[i] = h.Granted, h.Number
			}
			s.total = l.Total
			return want.Granted == a.Granted && want.Total == a.Total, s
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
	}
}

// linearizable claims at random from three holders at once, and asks whether there is an order that explains all answers.
func linearizable(t *testing.T, authority Authority, organization string, seed uint64, all int) {
	t.Helper()
	const limit, each = 40, 20
	period := metering.Cycle{}.At(time.Now())
	var mu sync.Mutex
	var history []porcupine.Operation
	var running sync.WaitGroup
	start := time.Now()
	for i := range 3 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			held := int64(0)
			for number := range uint64(each) {
				c := Claim{
					Holder:       fmt.Sprint(i),
					Organization: organization,
					Period:       period,
					Limit:        limit,
					Number:       number + 1,
					Holds:        held,
					Wants:        held + random.Int64N(8),
				}
				if random.IntN(4) == 0 {
					c.Wants, c.Holds = 0, held-random.Int64N(held+1)
				}
				called := time.Since(start).Nanoseconds()
				a, err := authority.Claim(context.Background(), c)
				returned := time.Since(start).Nanoseconds()
				if err != nil {
					t.Error(err)
					return
				}
				held = a.Granted
				mu.Lock()
				history = append(history, porcupine.Operation{
					ClientId: i,
					Input:    c,
					Call:     called,
					Output:   a,
					Return:   returned,
				})
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if result := porcupine.CheckOperationsTimeout(leaseModel(limit, all), history, 20*time.Second); result != porcupine.Ok {
		t.Errorf("seed %d: the answers to %d claims fit no order: %s", seed, len(history), result)
	}
}

// What the embedded authority answers fits one order of its claims.
func TestEmbeddedIsLinearizable(t *testing.T) {
	for seed := range uint64(5) {
		linearizable(t, NewEmbedded(t.TempDir(), time.Now), "acme", seed, 0)
	}
}
