package tracing_test

import (
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/edgegate/edgegate/caddymodule/tracing"
)

// Without the option no call is traced. With it the exporter must be open: until then
// calls are answered all the same.
func ExampleTracer() {
	request := httptest.NewRequest("GET", "/functions/v1/hello", nil)
	off := tracing.NewTracer(nil, nil)
	fmt.Println(off.Begin(request, time.Now()).Sampled())
	on := tracing.NewTracer(&tracing.Config{Sample: 100}, new(tracing.Exporter))
	fmt.Println(on.Begin(request, time.Now()).Sampled())
	// Output:
	// false
	// false
}
