//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// script is an answer that a request to a scripted backend orders in its query, as JSON under `answer`.
type script struct {
	Status  int         `json:"status,omitempty"`  // 200
	Header  [][2]string `json:"header,omitempty"`  // as sent, also several of a name; no Content-Type means none
	Body    string      `json:"body,omitempty"`    // of the answer
	Early   [][2]string `json:"early,omitempty"`   // of a 103 ahead of it
	Trailer [][2]string `json:"trailer,omitempty"` // sent behind the body; announced if Header has a Trailer
	Wait    int         `json:"wait,omitempty"`    // milliseconds ahead of it
	Drop    bool        `json:"drop,omitempty"`    // the connection ends instead
}

// query is the script as the query of a URL.
func (s script) query(t *testing.T) string {
	t.Helper()
	return "?answer=" + url.QueryEscape(string(encode(t, s)))
}

// scripted is a backend that answers as it is told, and counts what it was told.
type scripted struct {
	*httptest.Server
	calls atomic.Int64
}

func startScripted(t *testing.T) *scripted {
	t.Helper()
	b := new(scripted)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_internal") {
			return
		}
		b.calls.Add(1)
		var s script
		if text := r.URL.Query().Get("answer"); text != "" {
			if err := json.Unmarshal([]byte(text), &s); err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
				return
			}
		}
		select {
		case <-time.After(time.Duration(s.Wait) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
		if s.Drop {
			panic(http.ErrAbortHandler)
		}
		s.play(w)
	}))
	t.Cleanup(b.Close)
	return b
}

func (s script) play(w http.ResponseWriter) {
	h := w.Header()
	if s.Early != nil {
		for _, field := range s.Early {
			h.Add(field[0], field[1])
		}
		w.WriteHeader(http.StatusEarlyHints)
		clear(h)
	}
	h["Content-Type"] = nil // or net/http finds one
	for _, field := range s.Header {
		name := http.CanonicalHeaderKey(field[0])
		h[name] = append(h[name], field[1])
	}
	if s.Status == 0 {
		s.Status = http.StatusOK
	}
	w.WriteHeader(s.Status)
	_, _ = io.WriteString(w, s.Body)
	if s.Trailer != nil {
		_ = http.NewResponseController(w).Flush()
	}
	for _, field := range s.Trailer {
		h.Add(http.TrailerPrefix+field[0], field[1])
	}
}

func (b *scripted) backends() []backend {
	return []backend{{region: regionNames[0], address: strings.TrimPrefix(b.URL, "http://")}}
}
