package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/edgegate/edgegate/caddymodule/audit"
)

// audit judges the running configuration.
func (a *App) audit(r *http.Request) (any, error) {
	raw, err := runningConfig(r)
	if err != nil {
		return nil, fmt.Errorf("reading the running configuration: %w", err)
	}
	return audit.NewAnswer(slices.Concat(auditConfig(raw), auditLogs(raw), auditLiterals(raw), a.auditKeySets(), a.auditProjects(), a.auditRoom(),
		a.auditExporters(), a.auditLedger(time.Now()), a.auditZones(), a.auditStore(r.Context()))), nil
}

// runningConfig returns the configuration as it was loaded. Modules let go of
// it once they are made, so the admin API itself is asked: the server that
// serves r, without another connection.
func runningConfig(r *http.Request) (map[string]any, error) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil, errors.New("the request came by no server")
	}
	inner := r.Clone(r.Context())
	inner.Method, inner.Body, inner.ContentLength = http.MethodGet, http.NoBody, 0
	inner.URL.Path, inner.URL.RawPath, inner.URL.RawQuery, inner.RequestURI = "/config/", "", "", "/config/"
	answer := &answerBuffer{header: make(http.Header), status: http.StatusOK}
	server.Handler.ServeHTTP(answer, inner)
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("the admin API answers %d", answer.status)
	}
	var config map[string]any
	if err := json.Unmarshal(answer.body, &config); err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	return config, nil
}

// answerBuffer is an http.ResponseWriter for an answer to ourselves.
type answerBuffer struct {
	header http.Header
	status int
	body   []byte
}

func (b *answerBuffer) Header() http.Header    { return b.header }
func (b *answerBuffer) WriteHeader(status int) { b.status = status }
func (b *answerBuffer) Write(p []byte) (int, error) {
	b.body = append(b.body, p...)
	return len(p), nil
}
