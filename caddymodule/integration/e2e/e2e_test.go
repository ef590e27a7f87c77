//go:build e2e

package e2e

import (
	"syscall"
	"testing"
)

// TestJavaScript drives one gateway with what users have in their pages and servers: supabase-js, ws and fetch.
func TestJavaScript(t *testing.T) {
	g := startGateway(t, config{})
	for _, file := range []string{
		"supabase-js.test.mjs",
		"routing.test.mjs",
		"regions.test.mjs",
		"auth.test.mjs",
		"cors.test.mjs",
		"responses.test.mjs",
		"streams.test.mjs",
		"websocket.test.mjs",
		"hono.test.mjs",
	} {
		t.Run(file, func(t *testing.T) { runJS(t, file, g) })
	}
}

// TestJavaScriptOneRegionDown kills the Deno process of the nearest region, so that a named region fails by contract 2.5 and an
// unnamed one goes on by contract 2.6, and brings it back afterwards.
func TestJavaScriptOneRegionDown(t *testing.T) {
	g := startGateway(t, config{})
	down := regionNames[0]
	shared.regions[down].stop(syscall.SIGKILL, 0)
	runJS(t, "failover.test.mjs", g, "E2E_DOWN_REGION="+down)
	if err := startRegion(down); err != nil {
		t.Fatal(err)
	}
	if err := waitForPort(shared.regions[down], shared.ports[down]); err != nil {
		t.Fatal(err)
	}
	t.Run("contract 2.6 the region is used again when it is back", func(t *testing.T) {
		runJS(t, "recovered.test.mjs", g, "E2E_DOWN_REGION="+down)
	})
}

// TestJavaScriptAllRegionsDown has backends that nobody listens on.
func TestJavaScriptAllRegionsDown(t *testing.T) {
	var dead []backend
	for _, name := range regionNames {
		dead = append(dead, backend{region: name, address: deadAddress(t)})
	}
	runJS(t, "alldown.test.mjs", startGateway(t, config{backends: dead}))
}

// TestJavaScriptOtherPolicies runs a gateway whose site sets what the main one leaves at its default.
func TestJavaScriptOtherPolicies(t *testing.T) {
	g := startGateway(t, config{
		options: "\t\tmax_body 1MB",
		functions: `
			function page {
				verify_jwt off
				html text/plain
			}
			function sse {
				verify_jwt off
			}
			function own-cors {
				verify_jwt off
				cors function
			}
			function *`,
		site: `
		cors {
			origin https://app.customer.org https://two.customer.org
			credentials on
		}
		html keep`,
	})
	runJS(t, "policies.test.mjs", g)
}
