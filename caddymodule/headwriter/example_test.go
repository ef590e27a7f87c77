package headwriter_test

import (
	"fmt"
	"io"
	"net/http/httptest"

	"github.com/edgegate/edgegate/caddymodule/headwriter"
)

// A function broke its answer off before the first byte: another answer takes its
// place.
func Example() {
	client := httptest.NewRecorder()
	w := &headwriter.Writer{ResponseWriter: client}
	defer w.Stop()
	w.Expect(1000)
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(200)

	if w.TakeBack() {
		client.Header().Set("Content-Type", "application/json")
		client.WriteHeader(502)
		_, _ = io.WriteString(client, `{"code":"BACKEND_ERROR"}`)
	}
	fmt.Println(client.Code, client.Header().Get("Content-Type"), client.Body)
	// Output: 502 application/json {"code":"BACKEND_ERROR"}
}
