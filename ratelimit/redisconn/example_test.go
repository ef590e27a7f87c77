package redisconn_test

import (
	"fmt"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// A URL has everything; what is shown of it has no password.
func ExampleParse() {
	config, err := redisconn.Parse("rediss://:secret@a.example,b.example:7000?mode=cluster")
	if err != nil {
		panic(err)
	}
	fmt.Println(config)
	fmt.Println(config.Location())

	_, err = redisconn.Parse("redis://a.example,b.example")
	fmt.Println(err)
	// Output:
	// rediss://a.example:6379,b.example:7000?mode=cluster
	// a.example:6379,b.example:7000
	// reading the Redis URL: 2 addresses: several need mode=cluster, or mode=sentinel and master=NAME
}
