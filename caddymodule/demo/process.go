package demo

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// process is one running Deno of one function in one region.
type process struct {
	address string
	cmd     *exec.Cmd
	ready   chan struct{} // closed when it listens
	done    chan struct{} // closed when it has ended and its output is printed
	asked   atomic.Bool   // the demo has it end
}

// startProcess forks deno and returns at once; ready or done follows.
func startProcess(d *denoRuntime, w *worker) (*process, error) {
	region, f := w.region, w.function
	address, err := freeAddress()
	if err != nil {
		return nil, fmt.Errorf("finding a port for %s: %w", f.slug, err)
	}
	args := append([]string{"run", "--allow-all", "--no-prompt", "--preload=" + d.preload}, f.flags...)
	cmd := exec.Command(d.deno, append(args, f.entry)...)
	cmd.Dir = f.dir
	cmd.Env = d.environment(w.project, region, f, address, uuid.NewString())
	prefix := "[" + region + "/" + f.slug + "] "
	stdout, stderr := &prefixed{out: d.output, prefix: prefix}, &prefixed{out: d.output, prefix: prefix}
	stderr.skip = []byte(serveWarning)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second // a program it started may hold its output open
	ownGroup(cmd)

	p := &process{
		address: address,
		cmd:     cmd,
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
	}
	say := func(format string, args ...any) { d.output.say(prefix+format, args...) }
	say("starting")
	started := make(chan error)
	go func() {
		// On Linux the process dies with the thread that forked it (see ownGroup), which must therefore be kept until it has ended.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // why it ended is in its own output
		endGroup(cmd, true)
		stdout.flush()
		stderr.flush()
		if !p.asked.Load() && !p.listened() {
			say("ended (%s) before it listened: %s has to load without an error and to %s", cmd.ProcessState, f.file(), servedBy)
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting deno for %s: %w", f.slug, err)
	}
	go p.watch(d.boot, f.file(), say)
	return p, nil
}

// serveWarning is the end, but for colours, of Deno's warning about an `export default { fetch }`, which preload.js serves.
const serveWarning = `, did you mean to run "deno serve"?`

// servedBy is what a function has to do to be served.
const servedBy = "call Deno.serve(handler) or export default { fetch: handler }"

// file is the path of the entry point.
func (f denoFunction) file() string {
	if filepath.IsAbs(f.entry) {
		return f.entry
	}
	return filepath.Join(f.dir, f.entry)
}

// listened tells whether the process was seen to listen.
func (p *process) listened() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// patience is after how long, and how often, a start under way is spoken of.
const patience = time.Second

// watch waits until the process, which runs file, listens; one that does not in time is ended. It says how far it is.
func (p *process) watch(limit time.Duration, file string, say func(string, ...any)) {
	began, next := time.Now(), patience
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-timeout.C:
			say("does not listen after %s and is ended: %s has to %s", limit, file, servedBy)
			p.asked.Store(true)
			endGroup(p.cmd, true)
			return
		case <-tick.C:
			if passed := time.Since(began); passed >= next {
				say("still starting after %d s: at its first start deno downloads modules and compiles", int(passed.Seconds()))
				next += 5 * patience
			}
		}
		if conn, err := net.DialTimeout("tcp", p.address, time.Second); err == nil {
			_ = conn.Close()
			say("ready after %d ms", time.Since(began).Milliseconds())
			close(p.ready)
			return
		}
	}
}

// stop asks the process to end, kills it after grace, and returns when it is gone.
func (p *process) stop(grace time.Duration) {
	select {
	case <-p.done:
		return // its number may be another's by now
	default:
	}
	p.asked.Store(true)
	endGroup(p.cmd, false)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return
	case <-timer.C:
	}
	endGroup(p.cmd, true)
	<-p.done
}

// freeAddress returns a loopback address nothing listens on.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
