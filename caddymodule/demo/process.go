package demo

import (
	"fmt"
	"net"
	"os/exec"
	goruntime "runtime"
	"time"

	"github.com/google/uuid"
)

// process is one running Deno of one function in one region.
type process struct {
	address string
	cmd     *exec.Cmd
	ready   chan struct{} // closed when it listens
	done    chan struct{} // closed when it has ended and its output is printed
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
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second // a program it started may hold its output open
	ownGroup(cmd)

	p := &process{address: address, cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	d.output.say("%sstarting", prefix)
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
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting deno for %s: %w", f.slug, err)
	}
	go p.watch(d.boot, func(format string, args ...any) { d.output.say(prefix+format, args...) })
	return p, nil
}

// patience is after how long, and how often, a start under way is spoken of.
const patience = time.Second

// watch waits until the process listens; one that does not in time is ended. It says how far it is.
func (p *process) watch(limit time.Duration, say func(string, ...any)) {
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
			say("does not listen after %s and is ended: it has to call Deno.serve", limit)
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
