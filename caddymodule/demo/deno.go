package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/caddymodule/cli"
)

// denoConfig is what a denoRuntime needs; every field is required.
type denoConfig struct {
	dir    string    // the folder of functions
	url    string    // the gateway's address, SUPABASE_URL for the functions
	keys   keys      // SUPABASE_ANON_KEY and SUPABASE_SERVICE_ROLE_KEY
	output io.Writer // gets the functions' lines
}

// denoRuntime serves a folder of functions by real Deno processes, one for each region and function, started at the first call.
type denoRuntime struct {
	config  denoConfig
	project *project
	deno    string // path of the deno binary
	output  *lineOutput

	boot time.Duration // how long a process may take to listen
	term time.Duration // how long it may take to end after SIGTERM

	mu      sync.Mutex // guards what follows; held while a process is forked, so that stop sees every one
	workers map[workerKey]*worker
	live    map[*process]struct{}
	stopped bool
}

type workerKey struct{ region, slug string }

// newDenoRuntime reads the folder and finds deno on PATH. It starts no function.
func newDenoRuntime(config denoConfig) (*denoRuntime, error) {
	p, err := readProject(config.dir)
	if err != nil {
		return nil, err
	}
	deno, err := findDeno()
	if err != nil {
		return nil, err
	}
	return &denoRuntime{
		config: config, project: p, deno: deno,
		output:  &lineOutput{w: config.output},
		boot:    30 * time.Second,
		term:    3 * time.Second,
		workers: make(map[workerKey]*worker),
		live:    make(map[*process]struct{}),
	}, nil
}

// findDeno returns the binary itself: `deno` on PATH may be a wrapper script (npm installs one where it cannot link) that would not
// pass signals on.
func findDeno() (string, error) {
	path, err := exec.LookPath("deno")
	if err != nil {
		return "", &cli.FailureError{Msg: "deno is not on PATH, and --deno needs it", Hint: "npm install -g deno"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "eval", "console.log(Deno.execPath())")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", &cli.FailureError{
			Msg:  fmt.Sprintf("running %s: %v: %s", path, err, firstLine(stderr.String())),
			Hint: "npm install -g deno",
		}
	}
	if binary := strings.TrimSpace(string(out)); binary != "" {
		return binary, nil
	}
	return path, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

func (d *denoRuntime) functions() []function {
	all := make([]function, 0, len(d.project.functions))
	for _, f := range d.project.functions {
		all = append(all, f.function)
	}
	return all
}

// handler routes /<slug>... to the function's process in that region.
func (d *denoRuntime) handler(region string) http.Handler {
	workers := make(map[string]*worker, len(d.project.functions))
	d.mu.Lock()
	for _, f := range d.project.functions {
		w := newWorker(d, region, f)
		workers[f.slug] = w
		d.workers[workerKey{region, f.slug}] = w
	}
	d.mu.Unlock()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slug, _ := splitSlug(r.URL.Path)
		worker, ok := workers[slug]
		if !ok {
			writeNotFound(w)
			return
		}
		worker.ServeHTTP(w, r)
	})
}

// errStopped is the answer to a start after stop.
var errStopped = errors.New("the demo is stopping")

// launch starts a process of f in region.
func (d *denoRuntime) launch(region string, f denoFunction) (*process, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil, errStopped
	}
	p, err := startProcess(d, region, f)
	if err != nil {
		return nil, err
	}
	d.live[p] = struct{}{}
	go func() {
		<-p.done
		d.mu.Lock()
		delete(d.live, p)
		d.mu.Unlock()
	}()
	return p, nil
}

// stop ends every process, those still booting too: SIGTERM first, then a kill.
func (d *denoRuntime) stop() {
	d.mu.Lock()
	d.stopped = true
	procs := make([]*process, 0, len(d.live))
	for p := range d.live {
		procs = append(procs, p)
	}
	idle := make([]*worker, 0, len(d.workers))
	for _, w := range d.workers {
		idle = append(idle, w)
	}
	d.mu.Unlock()

	var all sync.WaitGroup
	for _, p := range procs {
		all.Go(func() { p.stop(d.term) })
	}
	all.Wait()
	for _, w := range idle {
		w.transport.CloseIdleConnections()
	}
}

// lineOutput writes whole lines of many processes to one writer.
type lineOutput struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

// maxLine is where a line without an end is cut.
const maxLine = 64 << 10

// prefixed is the writer of one stream of one process: it puts a prefix before each line.
type prefixed struct {
	out    *lineOutput
	prefix string
	rest   []byte
}

// Write prints the lines that p completes. A writer that fails must not stop the function: errors are dropped.
func (l *prefixed) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		l.print(append(l.rest, p[:i]...))
		l.rest, p = l.rest[:0], p[i+1:]
	}
	l.rest = append(l.rest, p...)
	if len(l.rest) >= maxLine {
		l.flush()
	}
	return n, nil
}

// flush prints what came without a line end; it is called after the last Write.
func (l *prefixed) flush() {
	if len(l.rest) > 0 {
		l.print(l.rest)
		l.rest = l.rest[:0]
	}
}

func (l *prefixed) print(line []byte) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	_, _ = fmt.Fprintf(l.out.w, "%s%s\n", l.prefix, bytes.TrimSuffix(line, []byte("\r")))
}

// environment is what a function finds set; later entries win, so DIR/.env beats the demo's own environment, and the demo's variables
// beat both.
func (d *denoRuntime) environment(region string, f denoFunction, address, execution string) []string {
	env := append(os.Environ(), d.project.env...)
	return append(env,
		"SUPABASE_URL="+d.config.url,
		"SUPABASE_ANON_KEY="+d.config.keys.anon,
		"SUPABASE_SERVICE_ROLE_KEY="+d.config.keys.serviceRole,
		"SB_REGION="+region,
		"SB_EXECUTION_ID="+execution,
		"DENO_DEPLOYMENT_ID=default_"+f.slug+"_1",
		"DENO_SERVE_ADDRESS=tcp:"+address,
	)
}
