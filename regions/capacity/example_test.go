package capacity_test

import (
	"fmt"

	"github.com/edgegate/edgegate/regions/capacity"
)

// Two projects share ten places. The first one may hold eight of them; the second
// one still gets in when all places are taken.
func ExampleRoom() {
	var room capacity.Room
	room.SetCapacity(10)
	noisy := capacity.Tenant{Project: "noisy", Share: 80}
	quiet := capacity.Tenant{Project: "quiet", Share: 80}
	enter := func(t *capacity.Tenant, calls int) {
		for range calls {
			if _, why := room.Enter(t); why != "" {
				fmt.Printf("%s is refused: %s\n", t.Project, why)
				return
			}
		}
		fmt.Printf("%s has %d places\n", t.Project, room.Standing(t).Held)
	}
	enter(&noisy, 9)
	enter(&quiet, 4)
	// Output:
	// noisy is refused: capacity_share
	// quiet has 4 places
}
