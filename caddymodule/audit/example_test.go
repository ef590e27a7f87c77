package audit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/routing/projects"
)

func ExampleFind() {
	answer := audit.Find(context.Background(), &audit.Input{
		Config:   map[string]any{"admin": map[string]any{"listen": "0.0.0.0:2019"}},
		Projects: audit.Projects{InForce: func(func(*projects.Project) bool) {}},
		Now:      time.Now(),
	})
	fmt.Println(answer.OK)
	for _, f := range answer.Findings {
		fmt.Println(f.Severity, f.Check, f.Subject)
	}
	// Output:
	// false
	// high admin_address admin 0.0.0.0:2019
	// medium log_secrets log default
}
