package events_test

import (
	"context"
	"fmt"

	"github.com/edgegate/edgegate/caddymodule/events"
)

// Events are there at once; Run, in the background, writes them into the directory of
// the store.
func ExampleLog() {
	log := events.NewLog()
	log.Add(events.Change{
		What: "region",
		Name: "eu-west-1",
		From: "up",
		To:   "down",
	})
	for _, e := range log.List(context.Background()).Events {
		fmt.Println(e.What, e.Name, "is", e.To)
	}
	// Output: region eu-west-1 is down
}
