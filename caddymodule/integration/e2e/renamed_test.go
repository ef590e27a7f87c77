//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// TestRenamedWebhook: the name of a webhook had its path in it, which may be a secret, and is now a hash. A store of a build
// before is taken over and nothing is sent again. The option `name` makes such a store.
func TestRenamedWebhook(t *testing.T) {
	const secretPath = "e2eSecretInThePath"
	for _, kind := range []string{"embedded", "redis"} {
		t.Run(kind, func(t *testing.T) {
			hook := &fakesinks.Receiver{Path: "/" + secretPath, Knows: time.Nanosecond} // whatever comes twice counts twice
			server := httptest.NewServer(hook)
			defer server.Close()
			url := server.URL + "/" + secretPath
			hash := sha256.Sum256([]byte(url))
			name := "webhook-" + hex.EncodeToString(hash[:])[:12]
			w, redis := startWitness(t), redistest.Single(t)
			gatewayWith := func(store, block string) config {
				where := "embedded " + store
				if kind == "redis" {
					where = "redis " + redis.URL() + " " + store
				}
				return config{
					backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"), project: "\t\t\torganization acme",
					options: fmt.Sprintf("\t\tstore %s\n\t\texport webhook %s%s", where, url, block),
				}
			}
			store := t.TempDir()
			usedBefore(t, store, 3*time.Hour, 25)
			before := gatewayWith(store, fmt.Sprintf(" {\n\t\t\tname %q\n\t\t}", "webhook "+url))
			g := startGateway(t, before)
			waitUntil(t, "all is sent", func() bool {
				_, _ = g.try(t, "usage", "push") // it fails where nothing is known yet
				return hook.Added("acme") == 25 && g.exporters(t).Exporters[0].Due == 0
			})
			g.stop(syscall.SIGTERM, 5*time.Second)
			calls, _ := hook.Calls()

			after := gatewayWith(store, "")
			g.start(t, after.caddyfile(g.port, g.admin))
			waitUntil(t, "a round under the new name", func() bool {
				said := g.exporters(t).Exporters[0]
				return said.Name == name && said.State == "ok" && said.Due == 0
			})
			if now, _ := hook.Calls(); now != calls || hook.Added("acme") != 25 {
				t.Errorf("it was told again: %d calls, %d before; %d counted", now, calls, hook.Added("acme"))
			}
			if kind == "redis" { // who joins later with the same store knows it too
				joined := startGateway(t, gatewayWith(t.TempDir(), ""))
				waitUntil(t, "it stands by", func() bool { return joined.exporters(t).Exporters[0].State == "standby" })
				if hook.Added("acme") != 25 {
					t.Errorf("%d counted", hook.Added("acme"))
				}
			}
			g.stop(syscall.SIGTERM, 5*time.Second)

			// A store of this build has the path nowhere.
			fresh := prepareGateway(t)
			own := filepath.Join(fresh.dir, "store")
			usedBefore(t, own, 3*time.Hour, 5)
			fresh.start(t, gatewayWith(own, "").caddyfile(fresh.port, fresh.admin))
			waitUntil(t, "it had a round", func() bool { return fresh.exporters(t).Exporters[0].State != "waiting" })
			res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", fresh.admin))
			if err != nil {
				t.Fatal(err)
			}
			metrics, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !strings.Contains(string(metrics), name) {
				t.Errorf("/metrics has no %s, %v", name, err)
			}
			refuseIn(t, "/metrics", metrics, secretPath)
			refuseInLog(t, fresh.process, secretPath)
			fresh.stop(syscall.SIGTERM, 5*time.Second)
			_ = filepath.WalkDir(own, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || !entry.Type().IsRegular() {
					return err
				}
				data, err := os.ReadFile(path)
				refuseIn(t, path, data, secretPath)
				return err
			})
		})
	}
}
