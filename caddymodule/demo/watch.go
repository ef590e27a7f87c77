package demo

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// watchEvery is the interval at which a folder of functions is checked for changes.
	watchEvery = 250 * time.Millisecond

	// watchAgain is for how long a look counts when calls come one after another.
	watchAgain = 50 * time.Millisecond

	// watchDepth bounds what links can make of a folder.
	watchDepth = 12
)

// sources are the endings of files that make a function another one. Others are read by functions themselves, or written.
var sources = []string{".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".json", ".jsonc", ".wasm", ".toml"}

// stamp tells one edition of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// fingerprintOf returns the current fingerprint of the files of p.
func fingerprintOf(p *project) map[string]stamp {
	all := make(map[string]stamp)
	for _, path := range p.outside {
		note(all, path)
	}
	look(all, p.dir, watchDepth)
	return all
}

func note(all map[string]stamp, path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		all[path] = stamp{info.ModTime(), info.Size()}
	}
}

func look(all map[string]stamp, dir string, depth int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name := entry.Name()
		path := filepath.Join(dir, name)
		switch info, err := os.Stat(path); {
		case err != nil, name == "node_modules", name == ".git":
		case info.IsDir() && depth > 0:
			all[path] = stamp{} // a function may be there or not
			look(all, path, depth-1)
		case slices.Contains(sources, filepath.Ext(name)), strings.HasPrefix(name, ".env"), name == ".npmrc":
			note(all, path)
		}
	}
}

// watcher looks for changes of a runtime's folder. Its zero value watches nothing until start.
type watcher struct {
	mu     sync.Mutex // guards what follows
	seen   map[string]stamp
	looked time.Time
	untold bool // the gateway does not know of the present functions yet

	cancel context.CancelFunc
	ended  chan struct{}
}

// watch looks at the folder until stop. Tell has the gateway take over other functions.
func (d *denoRuntime) watch(tell func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	d.watcher.cancel, d.watcher.ended = cancel, make(chan struct{})
	go func() {
		defer close(d.watcher.ended)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			d.refresh()
			if !d.watcher.takeUntold() {
				continue
			}
			// Not in refresh: a call that waited for it would be waited for by the configuration before.
			if err := tell(); err != nil {
				d.output.say("the gateway does not take the functions over: %v", err)
				continue
			}
			d.output.say("functions now: %s", slugs(d.functions()))
		}
	}()
}

func (w *watcher) stop() {
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.ended
}

func (w *watcher) takeUntold() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	untold := w.untold
	w.untold = false
	return untold
}

// refresh takes over what has changed in the folder. Each call does so before it is served, so that none meets code that was replaced
// before it came.
func (d *denoRuntime) refresh() {
	w := &d.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.looked) < watchAgain {
		return
	}
	defer func() { w.looked = time.Now() }()
	d.mu.Lock()
	before := d.project
	d.mu.Unlock()
	now := fingerprintOf(before)
	if maps.Equal(now, w.seen) {
		return
	}
	changed := difference(w.seen, now)
	w.seen = now
	p, err := readProject(d.config.dir)
	if err != nil {
		d.output.say("%s changed, and the functions stay as they were: %v", changed, err)
		return
	}
	for _, warning := range p.warnings {
		if !slices.Contains(before.warnings, warning) {
			d.output.say("warning: %s", warning)
		}
	}
	w.seen = fingerprintOf(p) // it may be made of other files
	w.untold = d.replace(p) || w.untold
	d.output.say("%s changed: functions run their new code from the next call on", changed)
}

// difference names a file that is not in both as it was.
func difference(before, now map[string]stamp) string {
	for _, pair := range [][2]map[string]stamp{{now, before}, {before, now}} {
		for _, path := range slices.Sorted(maps.Keys(pair[0])) {
			if other, ok := pair[1][path]; !ok || other != pair[0][path] {
				return path
			}
		}
	}
	return "nothing"
}

func slugs(functions []function) string {
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = f.slug
		if !f.verifyJWT {
			names[i] += "*"
		}
	}
	return strings.Join(names, " ")
}
