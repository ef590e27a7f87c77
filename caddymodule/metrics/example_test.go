package metrics_test

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgegate/edgegate/caddymodule/metrics"
)

func ExampleRegister() {
	registry := prometheus.NewRegistry()
	err := metrics.Register(registry, func() metrics.Values {
		return metrics.Values{Projects: metrics.Projects{Projects: 3}}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		if family.GetName() == "edgegate_projects" {
			fmt.Println(family.GetHelp(), family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output: Projects in force. 3
}
