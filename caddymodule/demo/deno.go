package demo

import (
	"bytes"
	"context"
	_ "embed" // of preload.js
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/caddymodule/cli"
)

// denoConfig is what a denoRuntime needs; every field is required.
type denoConfig struct {
	dir    string    // the folder of functions
	url    string    // the gateway's address, SUPABASE_URL for the functions
	keys   keys      // what the functions find as SUPABASE_ANON_KEY and so on
	state  string    // a directory that goes with the demo
	output io.Writer // gets the functions' lines
}

// denoRuntime serves a folder of functions by real Deno processes, one for each region and function, started at the first call. What
// changes in the folder is in force at the next call: processes of the code before end when their calls have ended.
type denoRuntime struct {
	config  denoConfig
	deno    string // path of the deno binary
	preload string // path of preload.js
	output  *lineOutput

	boot   time.Duration // how long a process may take to listen; it downloads modules at first
	term   time.Duration // how long it may take to end after SIGTERM when the demo ends
	linger time.Duration // the same when its code was replaced: EdgeRuntime.waitUntil goes on for so long

	watcher watcher

	mu       sync.Mutex // guards what follows; held while a process is forked, so that stop sees every one
	project  *project
	workers  map[workerKey]*worker
	live     map[*process]struct{}
	stopped  bool
	retiring sync.WaitGroup // ends of workers whose code was replaced
}

type workerKey struct{ region, slug string }

//go:embed preload.js
var preload []byte

// newDenoRuntime reads the folder and finds deno on PATH. It starts no function.
func newDenoRuntime(config denoConfig) (*denoRuntime, error) {
	output := &lineOutput{w: config.output}
	p, err := readProject(config.dir)
	if err != nil {
		return nil, err
	}
	path, err := exec.LookPath("deno")
	if err != nil {
		return nil, &cli.FailureError{Msg: "deno is not on PATH, and --deno needs it", Hint: "npm install -g deno"}
	}
	output.say("asking %s for its version ...", path)
	deno, version, err := findDeno(path)
	if err != nil {
		return nil, err
	}
	for _, warning := range p.warnings {
		output.say("warning: %s", warning)
	}
	output.say("deno %s runs the functions of %s, each from its first call on", version, p.dir)
	file := filepath.Join(config.state, "preload.js")
	if err := os.WriteFile(file, preload, 0o600); err != nil {
		return nil, fmt.Errorf("writing what deno loads first: %w", err)
	}
	d := &denoRuntime{
		config:  config,
		project: p,
		deno:    deno,
		preload: file,
		output:  output,
		boot:    2 * time.Minute,
		term:    5 * time.Second,
		linger:  30 * time.Second,
		workers: make(map[workerKey]*worker),
		live:    make(map[*process]struct{}),
	}
	d.watcher.seen = fingerprintOf(p)
	return d, nil
}

// oldestDeno is the first version with --preload.
var oldestDeno = [2]int{2, 4}

// findDeno returns the binary itself and its version: what is called deno on PATH may be a wrapper script (npm installs one where it cannot link) that
// would not pass signals on.
func findDeno(path string) (binary, version string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "eval", "console.log(Deno.execPath()); console.log(Deno.version.deno)")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", "", &cli.FailureError{
			Msg:  fmt.Sprintf("running %s: %v: %s", path, err, firstLine(stderr.String())),
			Hint: "npm install -g deno",
		}
	}
	binary, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || major < oldestDeno[0] || major == oldestDeno[0] && minor < oldestDeno[1] {
		return "", "", &cli.FailureError{
			Msg:  fmt.Sprintf("%s is deno %s, and --deno needs %d.%d or newer", path, version, oldestDeno[0], oldestDeno[1]),
			Hint: "npm install -g deno",
		}
	}
	return binary, version, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// functions are those of the folder at this moment.
func (d *denoRuntime) functions() []function {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.project.list()
}

// handler routes /<slug>... to the function's process in that region.
func (d *denoRuntime) handler(region string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slug, _ := splitSlug(r.URL.Path)
		d.refresh()
		worker := d.take(region, slug)
		if worker == nil {
			writeNotFound(w)
			return
		}
		defer d.leave(worker)
		worker.ServeHTTP(w, r)
	})
}

// take returns the worker of a function's present code, with a call in it, or nil where there is no such function.
func (d *denoRuntime) take(region, slug string) *worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.workers[workerKey{region, slug}]
	if w == nil {
		at := slices.IndexFunc(d.project.functions, func(f denoFunction) bool { return f.slug == slug })
		if at < 0 {
			return nil
		}
		w = newWorker(d, d.project, region, d.project.functions[at])
		d.workers[workerKey{region, slug}] = w
	}
	w.calls++
	return w
}

// leave ends a call; with the last one of code that was replaced its process ends too.
func (d *denoRuntime) leave(w *worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.calls--
	d.endIfDone(w)
}

// endIfDone is called under mu.
func (d *denoRuntime) endIfDone(w *worker) {
	if w.retired && w.calls == 0 && !d.stopped {
		d.retiring.Go(func() { w.end(d.linger) })
	}
}

// replace puts p in the place of the project: every function runs its new code from its next call on. Told is whether the gateway has to
// be told of other functions.
func (d *denoRuntime) replace(p *project) (told bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	told = !slices.Equal(d.project.list(), p.list())
	d.project = p
	for _, w := range d.workers {
		w.retired = true
		d.endIfDone(w)
	}
	clear(d.workers)
	return told
}

// errStopped is the answer to a start after stop.
var errStopped = errors.New("the demo is stopping")

// launch starts a process for w.
func (d *denoRuntime) launch(w *worker) (*process, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil, errStopped
	}
	p, err := startProcess(d, w)
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
	d.watcher.stop()
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
	d.retiring.Wait()
}
