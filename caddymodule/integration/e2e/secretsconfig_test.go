//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shownConfiguration is a Caddyfile that people are told to write, made to run here: other ports, a directory of its own, and
// the access log that its site may have.
type shownConfiguration struct {
	name, text string
}

// shownConfigurations are the shipped Caddyfiles, and those of the manual that have a site.
func shownConfigurations(t *testing.T) []shownConfiguration {
	t.Helper()
	var all []shownConfiguration
	for _, pattern := range []string{"configs/Caddyfile.single", "configs/Caddyfile.billing", "docs/one-project.md", "README.md"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(pattern, ".md") {
			all = append(all, shownConfiguration{pattern, string(data)})
			continue
		}
		for i, found := range regexp.MustCompile("(?s)```caddyfile\n(\\{.*?)```").FindAllStringSubmatch(string(data), -1) {
			if text := found[1]; strings.Contains(text, "\tproject default {") && strings.Contains(text, "http://localhost:8000 {") {
				all = append(all, shownConfiguration{fmt.Sprintf("%s %d", pattern, i), text})
			}
		}
	}
	if len(all) < 4 {
		t.Fatalf("found %d Caddyfiles", len(all))
	}
	return all
}

// run starts the configuration with every line it can write: debug, and an access log.
func (c shownConfiguration) run(t *testing.T, backend, beside string) *gateway {
	t.Helper()
	g := prepareGateway(t)
	text := regexp.MustCompile(`(?m)^\tadmin .*\n`).ReplaceAllString(c.text, "")
	site := fmt.Sprintf("http://localhost:%d", g.port)
	text = strings.NewReplacer(
		"http://localhost:8000", site, "\n{$OWN_DOMAIN} {", "\n"+site+" {",
		"{$BACKEND:http://127.0.0.1:9000}", "http://"+backend, "http://127.0.0.1:9000", "http://"+backend,
		"localhost:8001", beside, "/var/lib/edgegate", filepath.Join(g.dir, "store"),
		"https://billing.example.com/usage", "https://127.0.0.1:1/"+tokenInPath,
	).Replace(text)
	text = strings.Replace(text, "{\n", fmt.Sprintf("{\n\tdebug\n\tadmin 127.0.0.1:%d\n", g.admin), 1)
	if !strings.Contains(text, "\n\tlog\n") {
		text = strings.Replace(text, site+" {\n", site+" {\n\tlog\n", 1)
	}
	g.environment = []string{
		"OWN_DOMAIN=own.example.org", "PUBLISHABLE_KEY=" + publishableKey, "STRIPE_KEY=" + stripeInEnv, "WEBHOOK_SECRET=" + hookSecret,
	}
	g.start(t, text)
	return g
}

const (
	stripeInEnv = "sk_test_e2eStripeKeyInTheEnvironment"
	tokenInPath = "e2eTokenInThePathOfAWebhook"
)

// TestSecretsUnderShownConfigurations: whatever Caddyfile the manual shows, nothing that the process writes or answers has a
// secret of a request in it: contract 8.27.
func TestSecretsUnderShownConfigurations(t *testing.T) {
	for _, c := range shownConfigurations(t) {
		t.Run(c.name, func(t *testing.T) {
			b, s := startRawBackend(t), secrets()
			g := c.run(t, b.addr, deadAddress(t))
			headers := map[string]string{
				"Authorization": "Bearer " + s["valid jwt"], "apikey": s["secret key"], "x-sb-debug": "e2eDebugSecretOfARequest",
				"Cookie": "sb-access-token=" + s["cookie"], "Referer": "https://a.example/?token=" + s["query token"],
				"Proxy-Authorization": "Basic " + s["basic"], "Sec-WebSocket-Protocol": "jwt-" + s["subprotocol"],
				"X-Forwarded-Uri": "/?jwt=" + s["query jwt"], "X-Api-Key": "e2eKeyOfTheFunction", "Stripe-Signature": "e2eSignatureOfAHook",
				"Origin": "https://a.example/?jwt=" + s["query jwt"], "User-Agent": "agent " + s["invalid jwt"],
			}
			values := []string{
				"e2eDebugSecretOfARequest", "e2eKeyOfTheFunction", "e2eSignatureOfAHook", stripeInEnv, hookSecret, tokenInPath, "e2eTrailerValue",
			}
			for _, value := range s {
				values = append(values, value)
			}
			query := "?jwt=" + s["query jwt"] + "&token=" + s["query token"] + "&apikey=" + s["query apikey"] + "&access_token=" +
				s["query access"] + "&%6Awt=" + s["query encoded"] + "&next=https%3A%2F%2Fa.example%2F%3Fjwt%3D" + s["query second"]
			var answers bytes.Buffer
			for _, path := range []string{
				"/functions/v1/f", "/functions/v1/f/die", "/functions/v1/f/drop", "/functions/v1/f/garbage", "/functions/v1/f/status-600",
				"/functions/v1/webhook/die", "/functions/v1/../x", "/beside", "/functions/v1/f/die-chunked",
			} {
				for _, only := range append([]string{""}, "Authorization", "apikey") {
					lines := []string{"Connection: close", "Transfer-Encoding: chunked", "Trailer: X-Sum"}
					for name, value := range headers {
						if only == "" && name == "apikey" || only != "" && name != only {
							continue
						}
						lines = append(lines, name+": "+value)
					}
					conn := dial(t, g.addr)
					body := fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Sum: e2eTrailerValue\r\n\r\n", len(s["body"]), s["body"])
					write(t, conn, rawRequest("POST", path+query, fmt.Sprintf("localhost:%d", g.port), body, lines...))
					_, _ = io.Copy(&answers, conn) // how it is answered is other tests' matter
				}
			}
			leave(t, g, "/functions/v1/f/wait"+query, "", 100, "Authorization: "+headers["Authorization"], "apikey: "+publishableKey)
			for _, path := range []string{"/metrics", "/edge_functions/status", "/edge_functions/regions", "/edge_functions/audit", "/edge_functions/usage", "/edge_functions/events"} {
				res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", g.admin, path))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(&answers, res.Body)
				res.Body.Close()
			}
			g.stop(syscall.SIGTERM, 5*time.Second)
			out := g.output()
			if !strings.Contains(out, "http.log.access") || !strings.Contains(out, "REDACTED") {
				t.Errorf("the process wrote no access log: this test would find nothing\n%s", out)
			}
			if strings.Contains(c.name, "one-project") && !strings.Contains(out, "http.log.error") {
				t.Error("nothing beside the functions failed")
			}
			refuseInLog(t, g.process, values...)
			refuseIn(t, "an answer", answers.Bytes(), values...)
			_ = filepath.WalkDir(g.dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || !entry.Type().IsRegular() || entry.Name() == "Caddyfile" {
					return err
				}
				data, err := os.ReadFile(path)
				if entry.Name() == "autosave.json" { // has the webhook's URL as it was written
					data = bytes.ReplaceAll(data, []byte(tokenInPath), nil)
				}
				refuseIn(t, path, data, values...)
				return err
			})
		})
	}
}

// refuseIn fails the test for each value that is in data.
func refuseIn(t *testing.T, where string, data []byte, values ...string) {
	t.Helper()
	for _, value := range values {
		if i := bytes.Index(data, []byte(value)); i >= 0 {
			t.Errorf("contract 8.27: %q is in %s: %q", value, where, data[max(0, i-100):min(len(data), i+60)])
		}
	}
}
