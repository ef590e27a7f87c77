package sources

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	caddy.RegisterModule(new(File))
}

const (
	// settle is how long a file must be left alone before it is read: editors
	// and copies write in pieces.
	settle = 100 * time.Millisecond

	// recheck is how often the file is looked at when nothing was heard of it:
	// file systems over networks, and links to other directories, tell nothing.
	recheck = 2 * time.Second
)

const fileForm = "projects file /etc/edgegate/projects.json"

// File reads organizations and projects from a JSON file and follows
// its changes, written in place or by renaming another file over it.
type File struct {
	// The file's path.
	Path string `json:"path"`

	logger *zap.Logger
	read   [sha256.Size]byte // of the content that was delivered last
}

// CaddyModule returns the Caddy module information.
func (*File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "edge_functions.projects.file",
		New: func() caddy.Module { return new(File) },
	}
}

// Provision makes the path absolute: the working directory of a gateway that
// is reloaded may be another.
func (f *File) Provision(ctx caddy.Context) error {
	f.logger = ctx.Logger()
	if f.Path == "" {
		return fmt.Errorf("projects file: the path is missing; write `%s`", fileForm)
	}
	path, err := filepath.Abs(f.Path)
	if err != nil {
		return fmt.Errorf("projects file: finding %s: %w", f.Path, err)
	}
	f.Path = path
	return nil
}

// Location implements gateway.ProjectSource.
func (f *File) Location() string { return f.Path }

// OperatorOnly implements gateway.OperatorSource.
func (*File) OperatorOnly() {}

// Load implements gateway.PreloadedSource.
func (f *File) Load() (projects.Input, error) {
	data, err := os.ReadFile(f.Path)
	if err != nil {
		return projects.Input{}, fmt.Errorf("reading projects: %w", err)
	}
	f.read = sha256.Sum256(data)
	return projects.SplitFile(data)
}

// Follow implements gateway.ProjectSource.
func (f *File) Follow(ctx context.Context, sink gateway.ProjectSink) {
	var watching sync.WaitGroup
	defer watching.Wait()
	events := f.watch(ctx, &watching)
	version := stat(f.Path)
	f.refresh(sink) // what was written since Load
	ticks := time.NewTicker(recheck)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			if !quiet(ctx, events) {
				return
			}
		case <-ticks.C:
			if stat(f.Path) == version {
				continue
			}
		}
		version = stat(f.Path)
		f.refresh(sink)
	}
}

// refresh delivers the file unless it is what was delivered last.
func (f *File) refresh(sink gateway.ProjectSink) {
	before := f.read
	switch input, err := f.Load(); {
	case f.read == before && err == nil:
	case err != nil:
		sink.Fail(err)
	default:
		_ = sink.Apply(input) // the sink tells what is wrong with it
	}
}

// watch returns a channel that says something when anything changes in the
// file's directory: the file itself may be replaced, by a rename or by a link
// to another directory, as Kubernetes does. Where the system cannot tell,
// nothing comes, and the file is looked at from time to time.
func (f *File) watch(ctx context.Context, watching *sync.WaitGroup) <-chan struct{} {
	changed := make(chan struct{}, 1)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(filepath.Dir(f.Path)); err != nil {
			_ = watcher.Close()
		}
	}
	if err != nil {
		f.logger.Warn("directory of projects file cannot be watched; the file is read at intervals instead",
			zap.Duration("interval", recheck), zap.Error(err))
		return changed
	}
	watching.Go(func() {
		defer watcher.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-watcher.Events:
				if !ok {
					return
				}
				select {
				case changed <- struct{}{}:
				default: // one is waiting already
				}
			case err := <-watcher.Errors:
				f.logger.Warn("watching projects file failed", zap.Error(err))
			}
		}
	})
	return changed
}

// quiet waits until nothing was heard for a while; it returns false when ctx ends.
func quiet(ctx context.Context, events <-chan struct{}) bool {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	latest := time.After(10 * settle) // a directory that is never quiet must not keep the file waiting
	for {
		select {
		case <-ctx.Done():
			return false
		case <-events:
			timer.Reset(settle)
		case <-timer.C:
			return true
		case <-latest:
			return true
		}
	}
}

// fileVersion is what changes when a file is written or replaced.
type fileVersion struct {
	modified time.Time
	size     int64
}

func stat(path string) fileVersion {
	info, err := os.Stat(path)
	if err != nil {
		return fileVersion{}
	}
	return fileVersion{info.ModTime(), info.Size()}
}

// UnmarshalCaddyfile reads `file PATH`.
func (f *File) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("projects file: wrong number of arguments (%d)%s; write `%s`", len(args), options.UnsetVariable(d), fileForm)
	}
	if options.HasEnv(args[0]) {
		return d.Errf("projects file: write {$NAME}, which is filled in when the file is read")
	}
	f.Path = args[0]
	return options.Block(d, options.Table{})
}

// Interface guards
var (
	_ gateway.PreloadedSource = (*File)(nil)
	_ gateway.OperatorSource  = (*File)(nil)
	_ caddy.Provisioner       = (*File)(nil)
	_ caddyfile.Unmarshaler   = (*File)(nil)
)
