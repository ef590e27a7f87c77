package geo_test

import (
	"fmt"

	"github.com/edgegate/edgegate/regions/geo"
)

func ExamplePrior() {
	frankfurt, _ := geo.PlaceOf("eu-central-1")
	tokyo, _ := geo.PlaceOf("ap-northeast-1")
	rtt, ok := geo.Prior(frankfurt, tokyo)
	fmt.Println(rtt, ok)
	// Output: 232.23ms true
}

func ExampleClientRTT() {
	kenya := geo.Client{Country: "KE"}
	for _, region := range []string{"eu-west-3", "ap-south-1"} {
		place, _ := geo.PlaceOf(region)
		rtt, _ := geo.ClientRTT(kenya, geo.TargetOf(place))
		fmt.Println(region, rtt)
	}
	// Output:
	// eu-west-3 121.2ms
	// ap-south-1 242.5ms
}
