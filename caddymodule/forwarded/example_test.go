package forwarded_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/edgegate/edgegate/caddymodule/forwarded"
)

// A client that is no trusted proxy cannot say where it called from.
func ExampleSetHeaders() {
	in := httptest.NewRequest(http.MethodGet, "http://api.example.org/functions/v1/hello", nil)
	in.RemoteAddr = "192.0.2.1:50000"
	in.Header.Set("X-Forwarded-For", "203.0.113.9")
	out := in.Header.Clone()
	host := forwarded.SetHeaders(out, in, false)
	fmt.Println(host, out.Get("X-Forwarded-For"), out.Get("X-Forwarded-Port"))
	// Output: api.example.org 192.0.2.1 80
}
