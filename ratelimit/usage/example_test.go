package usage_test

import (
	"fmt"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// A package that is begun is paid whole.
func ExamplePrice() {
	pro := usage.Price{Plan: "pro", Included: 2_000_000, Package: 1_000_000, Minor: 200, Currency: "USD"}
	for _, invocations := range []int64{1_800_000, 2_000_001, 3_400_000} {
		fmt.Println(invocations, pro.Packages(invocations), pro.Amount(invocations))
	}
	// Output:
	// 1800000 0 0
	// 2000001 1 200
	// 3400000 2 400
}
