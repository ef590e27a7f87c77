package durable_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

func Example() {
	dir, err := os.MkdirTemp("", "durable-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "lines")
	for _, line := range []string{"one", "two"} {
		if err := durable.Append(path, 0o600, []byte(line)); err != nil {
			panic(err)
		}
	}
	_, err = durable.ReadLines(path, func(line []byte) error {
		fmt.Println(string(line))
		return nil
	})
	fmt.Println(err)
	// Output:
	// one
	// two
	// <nil>
}
