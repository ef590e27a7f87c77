package logs_test

import (
	"fmt"

	"github.com/edgegate/edgegate/caddymodule/logs"
)

// Secrets are masked wherever they are in a text; the rest stays as it is.
func ExampleMask() {
	fmt.Println(logs.Mask("GET /functions/v1/hello?jwt=eyJh.eyJz.c2ln&name=Ada"))
	fmt.Println(logs.Mask("dial redis://edgegate:secret@10.0.0.1:6379: refused"))
	// Output:
	// GET /functions/v1/hello?jwt=REDACTED&name=Ada
	// dial redis://REDACTED@10.0.0.1:6379: refused
}
