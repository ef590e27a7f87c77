package exporters

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/webhook"
	"github.com/edgegate/edgegate/regions/spelling"
)

func init() {
	caddy.RegisterModule(new(Webhook))
}

// The presets of webhooks.
const presetOpenMeter = "openmeter"

// openMeterRemembers is for how long OpenMeter knows events again, less a margin.
const openMeterRemembers = 30 * 24 * time.Hour

// titleDigits is how much of the hash of a URL is in a name.
const titleDigits = 12

// mostBatch bounds how many events are sent at once.
const mostBatch = 1000

// Webhook sends each change of a line to an HTTP endpoint, as CloudEvents
// in batches, signed after the Standard Webhooks convention
// (https://www.standardwebhooks.com).
type Webhook struct {
	// The endpoint, http or https. May have {env.X} in it.
	URL string `json:"url"`

	// What events are signed with: whsec_ and base64. Several while one replaces the
	// other. May have {env.X} in them. Default: they are not signed.
	Secrets []string `json:"secrets,omitempty"`

	// What the Authorization header has after Bearer. May have {env.X} in it.
	Token string `json:"token,omitempty"`

	// openmeter: the endpoint is the address of OpenMeter; what is sent it takes as
	// it is.
	Preset string `json:"preset,omitempty"`

	// How many events are sent at once. Default: 100.
	Batch int `json:"batch,omitempty"`

	// What it was told is kept under this name. Default: webhook- and a hash of the
	// URL without password and query, which may be secrets, as may be its path. One
	// whose URL changes otherwise needs it, or is told all again.
	Title string `json:"name,omitempty"`

	*webhook.Service `json:"-"`

	former string // the name that builds before gave it
}

// CaddyModule returns the Caddy module information.
func (*Webhook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  gateway.ExporterNamespace + ".webhook",
		New: func() caddy.Module { return new(Webhook) },
	}
}

// Provision checks the options. It calls nobody.
func (w *Webhook) Provision(caddy.Context) error {
	if w.URL == "" {
		return fmt.Errorf("webhook: the URL is missing; write `%s`", exportWebhookForm)
	}
	address, err := gateway.ResolveKey(w.URL)
	if err == nil {
		err = checkURL(address)
	}
	if err != nil {
		return fmt.Errorf("webhook: url: %w", err)
	}
	config := webhook.Config{URL: address, Batch: w.Batch, Title: w.Title}
	if w.Token != "" {
		if config.Bearer, err = gateway.ResolveKey(w.Token); err != nil {
			return fmt.Errorf("webhook: token: %w", err)
		}
	}
	for _, text := range w.Secrets {
		secret, err := gateway.ResolveKey(text)
		if err != nil {
			return fmt.Errorf("webhook: secret: %w", err)
		}
		config.Secrets = append(config.Secrets, secret)
	}
	if w.Batch < 0 || w.Batch > mostBatch {
		return fmt.Errorf("webhook: batch %d: must be from 1 to %d", w.Batch, mostBatch)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return errors.New("webhook: url: it cannot be read")
	}
	switch w.Preset {
	case "":
	case presetOpenMeter:
		config.Remembers = openMeterRemembers
		config.URL = parsed.JoinPath("api", "v1", "events").String()
	default:
		return fmt.Errorf("webhook: preset %q: allowed is %s%s", w.Preset, presetOpenMeter, spelling.DidYouMean(w.Preset, []string{presetOpenMeter}))
	}
	if config.Title == "" {
		place := parsed.Scheme + "://" + parsed.Host + parsed.EscapedPath()
		hash := sha256.Sum256([]byte(place))
		config.Title = "webhook-" + hex.EncodeToString(hash[:])[:titleDigits]
		w.former = "webhook " + place
	}
	if w.Service, err = webhook.New(config); err != nil {
		return fmt.Errorf("webhook: secret: %w", err)
	}
	return nil
}

// FormerName implements usage.Renamed.
func (w *Webhook) FormerName() string { return w.former }

// UnmarshalCaddyfile reads
//
//	webhook <url> {
//		preset openmeter
//		secret <secret...>
//		token <token>
//		batch <number>
//		name <name>
//	}
func (w *Webhook) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := secretArg(d, &w.URL, exportWebhookForm); err != nil {
		return err
	}
	if !options.HasEnv(w.URL) {
		if err := checkURL(w.URL); err != nil {
			return d.Errf("export webhook: %w; write `%s`", err, exportWebhookForm)
		}
	}
	return options.Block(d, options.Table{
		"preset": func(d *caddyfile.Dispenser) error { return options.OneOf(d, &w.Preset, presetOpenMeter) },
		"secret": func(d *caddyfile.Dispenser) error {
			if w.Secrets = d.RemainingArgs(); len(w.Secrets) == 0 {
				return d.Errf("secret: it is missing%s; write `secret {env.WEBHOOK_SECRET}`", options.UnsetVariable(d))
			}
			return nil
		},
		"token": func(d *caddyfile.Dispenser) error { return secretArg(d, &w.Token, "token {env.OPENMETER_TOKEN}") },
		"batch": func(d *caddyfile.Dispenser) error {
			if err := options.Number(d, &w.Batch); err != nil {
				return err
			}
			if w.Batch < 1 || w.Batch > mostBatch {
				return d.Errf("batch %d: must be from 1 to %d", w.Batch, mostBatch)
			}
			return nil
		},
		"name": func(d *caddyfile.Dispenser) error { return options.String(d, &w.Title) },
	})
}

const exportWebhookForm = "export webhook https://billing.example.com/usage [{ secret {env.WEBHOOK_SECRET} }]"

// Audit implements audit.Auditor.
func (w *Webhook) Audit() (findings []audit.Finding) {
	address, err := options.ResolveSecret(w.URL)
	if err != nil {
		return nil // it was there when the configuration was loaded
	}
	if audit.Unencrypted(address) {
		findings = append(findings, audit.Finding{
			Severity: audit.Medium,
			Check:    "exporter_in_clear",
			Subject:  w.Name(),
			Message:  "what organizations used, and the token, go over the network in clear: who is on the way reads and changes what is billed",
			Remedy:   "use an https URL",
		})
	}
	if len(w.Secrets) == 0 && w.Token == "" {
		findings = append(findings, audit.Finding{
			Severity: audit.Medium,
			Check:    "exporter_unsigned",
			Subject:  w.Name(),
			Message:  "events have neither a signature nor a token: the endpoint cannot tell them from those of a stranger",
			Remedy:   "add `secret {env.WEBHOOK_SECRET}` and check it at the endpoint",
		})
	}
	return findings
}

// Interface guards
var (
	_ audit.Auditor         = (*Webhook)(nil)
	_ gateway.Exporter      = (*Webhook)(nil)
	_ usage.Service         = (*Webhook)(nil)
	_ usage.Renamed         = (*Webhook)(nil)
	_ caddy.Provisioner     = (*Webhook)(nil)
	_ caddyfile.Unmarshaler = (*Webhook)(nil)
)
