package demo

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

// errBoot means that the function's process ended, or did not listen in time, at its start.
var errBoot = errors.New("function did not start")

// worker is one function in one region, in one edition of its code: at most one process, started by a call and again by the next one after
// it died.
type worker struct {
	runtime   *denoRuntime
	project   *project
	region    string
	function  denoFunction
	transport *http.Transport
	proxy     *httputil.ReverseProxy

	mu      sync.Mutex // guards current; held while a process is forked, so that first calls at once start one
	current *process

	// under the runtime's mu
	calls   int  // under way
	retired bool // the code was replaced
}

type processKey struct{}

func newWorker(d *denoRuntime, p *project, region string, f denoFunction) *worker {
	w := &worker{
		runtime:  d,
		project:  p,
		region:   region,
		function: f,
	}
	w.transport = &http.Transport{
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     5 * time.Second,
	}
	w.proxy = &httputil.ReverseProxy{
		Rewrite:       w.rewrite,
		Transport:     w.transport,
		FlushInterval: -1,
		ErrorHandler:  w.answerError,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	return w
}

// ServeHTTP hands the request to the function's process, starting it first if there is none.
func (w *worker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	p, err := w.process(r.Context())
	if err != nil {
		if r.Context().Err() == nil {
			writeJSON(rw, http.StatusServiceUnavailable, map[string]string{
				"code": "BOOT_ERROR", "message": "Function failed to start (please check logs)",
			})
		}
		return
	}
	w.proxy.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), processKey{}, p)))
}

// process returns a process that listens. It waits for a start under way, whoever began it.
func (w *worker) process(ctx context.Context) (*process, error) {
	p, err := w.running()
	if err != nil {
		return nil, err
	}
	select {
	case <-p.ready:
		return p, nil
	case <-p.done:
		return nil, errBoot
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// running returns the current process, or a new one when it has died.
func (w *worker) running() (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		select {
		case <-w.current.done:
		default:
			return w.current, nil
		}
	}
	p, err := w.runtime.launch(w)
	if err != nil {
		return nil, err
	}
	w.current = p
	return p, nil
}

// end stops the process of a worker without calls.
func (w *worker) end(grace time.Duration) {
	w.mu.Lock()
	p := w.current
	w.mu.Unlock()
	w.transport.CloseIdleConnections()
	if p != nil {
		p.stop(grace)
	}
}

// rewrite sends the request on as it came: same Host, same path and query byte for byte, and the gateway's forwarding headers, which
// ReverseProxy would drop.
func (w *worker) rewrite(pr *httputil.ProxyRequest) {
	p := pr.In.Context().Value(processKey{}).(*process)
	path, query, marked := strings.Cut(pr.In.RequestURI, "?")
	pr.Out.URL.Scheme, pr.Out.URL.Host = "http", p.address
	pr.Out.URL.Opaque, pr.Out.URL.RawQuery, pr.Out.URL.ForceQuery = path, query, marked
	pr.Out.Host = pr.In.Host
	for name, values := range pr.In.Header {
		if name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") {
			pr.Out.Header[name] = values
		}
	}
}

// answerError answers as the hosted runtime does when a worker ends without a response.
func (w *worker) answerError(rw http.ResponseWriter, r *http.Request, _ error) {
	if r.Context().Err() != nil {
		return
	}
	writeJSON(rw, http.StatusInternalServerError, map[string]string{
		"code": "WORKER_ERROR", "message": "Function exited due to an error (please check logs)",
	})
}
