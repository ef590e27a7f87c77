package exporters

import (
	"iter"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/routing/projects"
)

func TestAuditOfExporters(t *testing.T) {
	t.Setenv("EDGEGATE_TEST_KEY", "sk_test_1")
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the example of the convention
	for name, tc := range map[string]struct {
		exporter interface {
			audit.Auditor
			caddy.Provisioner
		}
		customer string
		want     []string
	}{
		"webhook, safe":          {&Webhook{URL: "https://billing.example.com/", Secrets: []string{secret}}, "", nil},
		"webhook, to oneself":    {&Webhook{URL: "http://127.0.0.1:8080/", Token: "t"}, "", nil},
		"webhook, in clear":      {&Webhook{URL: "http://billing.example.com/", Secrets: []string{secret}}, "", []string{"exporter_in_clear"}},
		"webhook, unsigned":      {&Webhook{URL: "https://billing.example.com/"}, "", []string{"exporter_unsigned"}},
		"stripe, safe":           {&Stripe{APIKey: "{env.EDGEGATE_TEST_KEY}", Meter: "m"}, "cus_1", nil},
		"stripe, without others": {&Stripe{APIKey: "{env.EDGEGATE_TEST_KEY}", Meter: "m"}, "", []string{"exporter_customers"}},
		"stripe, all wrong": {
			&Stripe{APIKey: "sk_test_1", Meter: "m", URL: "http://stripe.example.com"}, "",
			[]string{"exporter_in_clear", "exporter_key_in_file", "exporter_customers"},
		},
	} {
		if err := tc.exporter.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		if stripe, ok := tc.exporter.(*Stripe); ok {
			stripe.UseOrganizations(func() iter.Seq[*projects.Organization] {
				return slices.Values([]*projects.Organization{{ID: "acme", StripeCustomer: tc.customer}})
			})
		}
		var got []string
		for _, f := range tc.exporter.Audit() {
			got = append(got, f.Check)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
