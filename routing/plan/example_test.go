package plan_test

import (
	"fmt"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/routing/plan"
)

func Example() {
	up := func(name string) regions.RegionView {
		return regions.RegionView{
			Region:    &regions.Region{Name: name},
			State:     regions.StateUp,
			Health:    regions.StateUp,
			Backends:  make([]regions.BackendView, 1),
			Healthy:   1,
			SlowStart: 1,
			Load:      new(capacity.Load),
		}
	}
	// The order is the configuration's: nothing is known of distances.
	view := &regions.View{Regions: []regions.RegionView{up("eu-central-1"), up("us-east-1")}, Order: []int{0, 1}}
	planner := plan.New(plan.Policy{})
	for _, hint := range []regions.Hint{{}, {Regions: []string{"us-east-1"}}} {
		decided, err := planner.Decide(view, &plan.Query{ID: "1", Hint: hint}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range decided.Candidates {
			fmt.Print(c.Region.Name, " ", c.Reason, "; ")
		}
		fmt.Println("strict:", decided.Strict)
	}
	_, err := planner.Decide(view, &plan.Query{Hint: regions.Hint{Regions: []string{"mars"}}}, nil)
	fmt.Println(err)
	// Output:
	// eu-central-1 default; us-east-1 failover; strict: false
	// us-east-1 explicit; strict: true
	// region "mars" is none of those allowed
}
