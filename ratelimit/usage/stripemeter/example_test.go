package stripemeter_test

import (
	"fmt"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
)

func Example() {
	var sink usage.Sink = stripemeter.New(stripemeter.Config{
		Key:       "rk_test_...",
		Meter:     "invocations",
		Customers: func() map[string]string { return map[string]string{"acme": "cus_NciAYcXfLnqBoz"} },
	})
	fmt.Println(sink.Name(), sink.MaxBatch())
	// Output: stripe invocations 100
}
