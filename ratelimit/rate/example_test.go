package rate_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/edgegate/edgegate/ratelimit/rate"
)

// Three requests of one client, under a limit of two an hour.
func Example() {
	limit := &rate.Limit{Name: "client_ip", Count: 2, Window: time.Hour}
	if !limit.Prepare() {
		panic("the limit is not in range")
	}
	limiter := rate.NewLimiter()
	defer limiter.Close()

	limits := []*rate.Limit{limit}
	keys := []rate.Key{{Policy: limit.Name, Address: netip.MustParseAddr("192.0.2.1")}}
	states := make([]rate.State, len(limits))
	for range 3 {
		passes := limiter.Take(limits, keys, states)
		fmt.Println(passes, states[0].Remaining)
	}
	// Output:
	// true 1
	// true 0
	// false 0
}

// Two calls at once are allowed of each project.
func ExampleInFlight() {
	inFlight := rate.NewInFlight()
	key := &rate.Key{Policy: "project", Project: "abcdefghijklmnopqrst"}

	first, _ := inFlight.Enter(key, 2)
	_, second := inFlight.Enter(key, 2)
	_, third := inFlight.Enter(key, 2)
	inFlight.Leave(first)
	_, fourth := inFlight.Enter(key, 2)
	fmt.Println(second, third, fourth)
	// Output:
	// true false true
}
