package webhook_test

import (
	"fmt"

	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
)

func Example() {
	service, err := webhook.New(webhook.Config{
		Title:   "webhook-billing",
		URL:     "https://billing.example.com/usage",
		Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var sink usage.Sink = service
	fmt.Println(sink.Name(), sink.MaxBatch())
	// Output: webhook-billing 100
}
