package simulation_test

import (
	"fmt"

	"github.com/edgegate/edgegate/routing/simulation"
)

func Example() {
	scenario, err := simulation.Load("down")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(scenario.Name)
	_, err = simulation.Load("dwn")
	fmt.Println(err)
	// Output:
	// down
	// no scenario has the name "dwn"; did you mean down?
}
