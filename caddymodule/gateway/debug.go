package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/routing/plan"
)

// headerDebug brings the debug secret, and takes the decision back.
const headerDebug = "X-Sb-Debug"

// minDebugSecret is the smallest debug secret, in bytes.
const minDebugSecret = 16

func (a *App) provisionDebug() error {
	if a.DebugSecret == "" {
		return nil
	}
	secret, err := ResolveKey(a.DebugSecret)
	if err == nil && len(secret) < minDebugSecret {
		err = errors.New("it is too short; `openssl rand -base64 24` makes one")
	}
	if err != nil {
		return fmt.Errorf("debug_secret: %w", err)
	}
	hash := sha256.Sum256([]byte(secret))
	a.debugHash = hash[:]
	return nil
}

// mayDebug reports whether the request brings the debug secret.
func (a *App) mayDebug(header http.Header) bool {
	said := header[headerDebug]
	if a.debugHash == nil || len(said) != 1 {
		return false
	}
	hash := sha256.Sum256([]byte(said[0]))
	return subtle.ConstantTimeCompare(hash[:], a.debugHash) == 1
}

// explainCall returns the decision over a call as JSON for a header, "" if the
// caller may not know.
func (c *call) explainCall() string {
	app := c.handler.app
	if !app.mayDebug(c.r.Header) {
		return ""
	}
	explanation, err := app.pipeline.Explain(app.network.View(), &plan.Query{
		Hint:      c.inv.Hint,
		Residency: c.inv.Project.Regions,
		Client:    app.client(c.r),
		ID:        c.inv.ID,
		Tenant:    c.inv.Tenant,
		Socket:    c.inv.Socket,
	})
	if err != nil {
		return ""
	}
	text, err := json.Marshal(explanation)
	if err != nil {
		return ""
	}
	return string(text)
}
