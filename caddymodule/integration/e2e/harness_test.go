//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// regionNames are the three regions of the suite, nearest first as seen from its gateways' location.
var regionNames = []string{"eu-central-1", "us-east-1", "ap-southeast-2"}

// shared is what TestMain sets up once: the binary under test and the Deno processes.
var shared struct {
	dir     string
	binary  string
	regions map[string]*process
	ports   map[string]int
}

func TestMain(m *testing.M) {
	if address := os.Getenv(asRegion); address != "" {
		serveRegion(address)
		return
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "edgegate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a directory for the suite:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared.dir = dir
	for _, step := range []func() error{checkTools, buildBinary, startRegions} {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			stopRegions()
			return 1
		}
	}
	defer stopRegions()
	return m.Run()
}

// checkTools names the remedy for what is missing; a suite that skipped instead would pass on a machine without Deno.
func checkTools() error {
	for _, need := range []string{"node_modules/.bin/deno", "node_modules/@supabase/supabase-js", "node_modules/ws", "node_modules/hono"} {
		if _, err := os.Stat(need); err != nil {
			return fmt.Errorf("%s is missing: run `npm ci` in caddymodule/integration/e2e (make test does)", need)
		}
	}
	for _, tool := range []string{"node", "curl", "prometheus"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("looking for %s: %w", tool, err)
		}
	}
	return nil
}

func buildBinary() error {
	shared.binary = filepath.Join(shared.dir, "edgegate")
	build := exec.Command("go", "build", "-o", shared.binary, "./cmd/edgegate")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building cmd/edgegate: %w\n%s", err, out)
	}
	return nil
}

func startRegions() error {
	shared.regions = make(map[string]*process)
	shared.ports = make(map[string]int)
	for _, name := range regionNames {
		port, err := freePort()
		if err != nil {
			return err
		}
		shared.ports[name] = port
		if err := startRegion(name); err != nil {
			return err
		}
	}
	for _, name := range regionNames {
		if err := waitForPort(shared.regions[name], shared.ports[name]); err != nil {
			return fmt.Errorf("starting Deno for %s: %w", name, err)
		}
	}
	return nil
}

// startRegion starts the Deno process of one region on its port; a test that killed it brings it back with this.
func startRegion(name string) error {
	deno, err := filepath.Abs("node_modules/.bin/deno")
	if err != nil {
		return err
	}
	p, err := startProcess("deno-"+name, []string{
		"SB_REGION=" + name,
		"JWT_SECRET=" + jwtSecret,
		fmt.Sprintf("E2E_PORT=%d", shared.ports[name]),
		"DENO_DIR=" + filepath.Join(shared.dir, "deno"),
		"DENO_NO_UPDATE_CHECK=1",
	}, deno, "run", "--no-remote", "--allow-net=127.0.0.1", "--allow-env", "--allow-read", "main.ts")
	if err != nil {
		return err
	}
	shared.regions[name] = p
	return nil
}

func stopRegions() {
	for _, p := range shared.regions {
		p.stop(syscall.SIGKILL, 0)
	}
}

// process is one started child. Its output goes to a file; it is stopped by its own pid and by nothing wider.
type process struct {
	name    string
	cmd     *exec.Cmd
	logPath string
	exited  chan struct{}
	stdin   *os.File
}

// starts runs the fork of every child on one thread that lives as long as this process: the kernel's parent-death
// signal is tied to the thread, and without it a test that times out would leave its children behind.
var starts = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func startProcess(name string, env []string, argv ...string) (*process, error) {
	logFile, err := os.CreateTemp(shared.dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	stdin, keep, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + shared.dir}, env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	starts() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		keep.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, logPath: logFile.Name(), exited: make(chan struct{}), stdin: keep}
	go func() {
		_ = cmd.Wait() // how it ended is read from ProcessState by who cares
		close(p.exited)
	}()
	return p, nil
}

// stop sends sig, waits up to grace and kills what is left. It reports whether the process went by itself.
func (p *process) stop(sig syscall.Signal, grace time.Duration) bool {
	defer p.stdin.Close()
	_ = p.cmd.Process.Signal(sig)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	return false
}

func (p *process) output() string {
	b, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// tail is the end of the output, for the message of a failed test.
func (p *process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.output()), "\n")
	if len(lines) > 25 {
		lines = lines[len(lines)-25:]
	}
	return strings.Join(lines, "\n")
}

// handedOut are the ports of freePort so far.
var handedOut sync.Map

// freePort finds a port that nobody listens on. It gives none out twice, and none of those that the kernel gives to
// connections: one of a neighbour's could take it before the process that it is for listens there.
func freePort() (int, error) {
	for range 1000 {
		port := 22000 + rand.IntN(10000)
		if _, again := handedOut.LoadOrStore(port, true); again {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port was found")
}

// waitForPort returns when the process accepts connections, and at once when it has ended instead.
func waitForPort(p *process, port int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended: %v\n%s", p.name, p.cmd.ProcessState, p.tail())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not listen on %d\n%s", p.name, port, p.tail()), err)
		case <-tick.C:
		}
	}
}
