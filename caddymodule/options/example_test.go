package options_test

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// A module reads its block with a table of its options.
func ExampleBlock() {
	var format string
	var batch int
	read := func(text string) error {
		d := caddyfile.NewTestDispenser(text)
		d.Next() // the module's name
		return options.Block(d, options.Table{
			"format": func(d *caddyfile.Dispenser) error { return options.OneOf(d, &format, "csv", "jsonl") },
			"batch":  func(d *caddyfile.Dispenser) error { return options.Number(d, &batch) },
		})
	}
	fmt.Println(read("exporter {\n format jsonl\n batch 100\n}"), format, batch)
	fmt.Println(read("exporter {\n formta csv\n}"))
	// Output:
	// <nil> jsonl 100
	// unknown option "formta" (did you mean "format"?), at Testfile:2
}
