package gateway

import (
	"fmt"
	"slices"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// auditExporters judges where usage is sent, and whether it is billed to everybody.
func (a *App) auditExporters() []Finding {
	var findings []Finding
	for _, exporter := range a.exporters {
		switch e := exporter.(type) {
		case *WebhookExporter:
			findings = append(findings, e.audit()...)
		case *StripeExporter:
			findings = append(findings, e.audit(a)...)
		}
	}
	return findings
}

func (w *WebhookExporter) audit() (findings []Finding) {
	address, err := options.ResolveSecret(w.URL)
	if err != nil {
		return nil // it was there when the configuration was loaded
	}
	if unencrypted(address) {
		findings = append(findings, Finding{
			Severity: Medium, Check: "exporter_in_clear", Subject: w.Name(),
			Message: "what organizations used, and the token, go over the network in clear: who is on the way reads and changes what is billed",
			Remedy:  "use an https URL",
		})
	}
	if len(w.Secrets) == 0 && w.Token == "" {
		findings = append(findings, Finding{
			Severity: Medium, Check: "exporter_unsigned", Subject: w.Name(),
			Message: "events have neither a signature nor a token: the endpoint cannot tell them from those of a stranger",
			Remedy:  "add `secret {env.WEBHOOK_SECRET}` and check it at the endpoint",
		})
	}
	return findings
}

func (s *StripeExporter) audit(a *App) (findings []Finding) {
	if unencrypted(s.URL) {
		findings = append(findings, Finding{
			Severity: High, Check: "exporter_in_clear", Subject: s.Name(),
			Message: "the secret key goes over the network in clear", Remedy: "use an https URL, or leave `url` out",
		})
	}
	if !options.HasEnv(s.APIKey) {
		findings = append(findings, Finding{
			Severity: Low, Check: "exporter_key_in_file", Subject: s.Name(),
			Message: "the secret key stands in the configuration, which the admin API shows", Remedy: "write `api_key {env.STRIPE_KEY}`",
		})
	}
	var missing []string
	for _, o := range a.organizations() {
		if o != nil && o.StripeCustomer == "" {
			missing = append(missing, o.ID)
		}
	}
	if n := len(missing); n > 0 {
		slices.Sort(missing)
		findings = append(findings, Finding{
			Severity: Medium, Check: "exporter_customers", Subject: s.Name(),
			Message: fmt.Sprintf("%d organizations have no Stripe customer, %s among them: what they use is held, and lost to Stripe after 35 days", n, missing[0]),
			Remedy:  "set stripe_customer of each",
		})
	}
	return findings
}
