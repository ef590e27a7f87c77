//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// silence is longer than the minute after which Caddy's server cuts idle transfers by default: the gateway's own idle
// limit, 150 s, must be the only one that counts (contract 6.1).
const silence = 66 * time.Second

// TestSilence lets a stream and an upload pause over HTTP/1.1 and HTTP/2, all at the same time.
func TestSilence(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(pausing))
	t.Cleanup(server.Close)
	var results []func(*testing.T)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		g := startGateway(t, config{
			tls: protocol == "HTTP/2.0", backends: []backend{backendOf("eu-central-1", server)},
			functions: "\t\t\tfunction * {\n\t\t\t\tverify_jwt off\n\t\t\t}",
		})
		waitUntil(t, "the certificate is there", func() bool {
			res, err := silenceClient().Get(g.url + "/")
			if err == nil {
				res.Body.Close()
			}
			return err == nil
		})
		for name, call := range map[string]func(*gateway) (*http.Response, error){
			"contract 6.1 a stream pauses, then sends a last chunk": stream,
			"contract 6.1 a stream pauses, then ends":               streamEnds,
			"contract 6.1 an upload pauses":                         pausedUpload,
		} {
			done := make(chan error, 1)
			go func() { done <- checkSilence(g, protocol, call) }()
			results = append(results, func(t *testing.T) {
				t.Run(protocol+" "+name, func(t *testing.T) {
					if err := <-done; err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
	for _, result := range results {
		result(t)
	}
}

func checkSilence(g *gateway, protocol string, call func(*gateway) (*http.Response, error)) error {
	res, err := call(g)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "begin end" || res.Proto != protocol {
		return fmt.Errorf("%s %d %q, %w", res.Proto, res.StatusCode, body, err)
	}
	return nil
}

// pausing answers /stream and /ends in two parts with a silence after the first or the second; anything else is echoed.
func pausing(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
		return
	}
	parts := []string{"begin", " end"}
	if strings.HasPrefix(r.URL.Path, "/ends") {
		parts = []string{"begin end", ""}
	}
	fmt.Fprint(w, parts[0])
	_ = http.NewResponseController(w).Flush()
	select {
	case <-time.After(silence):
	case <-r.Context().Done():
	}
	fmt.Fprint(w, parts[1])
}

func silenceClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the gateway's own internal issuer
	}}
}

func stream(g *gateway) (*http.Response, error) {
	return silenceClient().Get(g.url + "/functions/v1/stream")
}

func streamEnds(g *gateway) (*http.Response, error) {
	return silenceClient().Get(g.url + "/functions/v1/ends")
}

func pausedUpload(g *gateway) (*http.Response, error) {
	paused := false
	rest := bytes.NewReader([]byte(" end"))
	body := io.MultiReader(strings.NewReader("begin"), readerFunc(func(p []byte) (int, error) {
		if !paused {
			paused = true
			<-time.After(silence)
		}
		return rest.Read(p)
	}))
	return silenceClient().Post(g.url+"/functions/v1/upload", "text/plain", body)
}
