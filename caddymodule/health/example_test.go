package health_test

import (
	"fmt"
	"time"

	"github.com/edgegate/edgegate/caddymodule/health"
)

// A gateway that is drained is not ready from then on, although all is well with it.
func ExampleState() {
	state := health.NewState(health.Config{
		Exiting: func() bool { return false },
		Stop:    func() { fmt.Println("stopped") },
	})
	wellAndStarted := func() (health.Checks, bool) {
		return health.Checks{ProjectsLoaded: true, LedgerWritable: true, ClockInBounds: true}, true
	}
	fmt.Println(state.Answer(wellAndStarted))
	if _, err := state.Drain(time.Hour, false); err != nil {
		fmt.Println(err)
	}
	fmt.Println(state.Answer(wellAndStarted))
	// Output:
	// {true []}
	// {false [draining]}
}
