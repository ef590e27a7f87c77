//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"testing"
)

func TestDebug(t *testing.T) {
	g := startGateway(t, config{})
	cmd := exec.Command("timeout", "20", "node", "--import", "/tmp/dbg.mjs", "tests/websocket.test.mjs")
	cmd.Env = append(os.Environ(), "E2E_URL="+g.url, "E2E_DEAD_URL=x", "E2E_OWN_HOST="+ownHost, "E2E_REGIONS=eu-central-1,us-east-1,ap-southeast-2",
		"E2E_JWT_SECRET="+jwtSecret, "E2E_ANON_JWT="+anonToken(), "E2E_PUBLISHABLE_KEY="+publishableKey, "E2E_SECRET_KEY="+secretKey)
	out, err := cmd.CombinedOutput()
	t.Logf("%s %v", out, err)
}
