//go:build e2e

package manual

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// session is one shell in a directory of its own, as the reader of one page has it.
type session struct {
	t       *testing.T
	dir     string
	env     []string
	admin   string // address of the admin endpoint that commands ask by default
	port    string // what the page calls port 8000
	replace []string
	in      io.WriteCloser
	out     *bufio.Reader
	hangs   bool
	started []*started // newest last
}

// started is a command that runs in the background.
type started struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// patience is how long anything may take: long, since it only ends tests that fail.
const patience = 60 * time.Second

func newSession(t *testing.T) *session {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "page-")
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, dir: dir, admin: "127.0.0.1:" + freePort(t), port: freePort(t)}
	bin := filepath.Join(dir, ".bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(build(t), filepath.Join(bin, "edgegate")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(build(t), filepath.Join(dir, "edgegate")); err != nil {
		t.Fatal(err)
	}
	path := []string{bin, filepath.Join(root, "caddymodule/integration/e2e/node_modules/.bin"), filepath.Join(root, ".ci/node/node_modules/.bin"), os.Getenv("PATH")}
	s.env = []string{
		"PATH=" + strings.Join(path, ":"), "HOME=" + dir, "XDG_DATA_HOME=" + dir + "/.data", "XDG_CONFIG_HOME=" + dir + "/.config",
		"CADDY_ADMIN=" + s.admin, "DENO_NO_UPDATE_CHECK=1", "DENO_DIR=" + filepath.Join(scratch, "deno"), "LC_ALL=C.UTF-8", "TMPDIR=" + dir,
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		s.env = append(s.env, name+"="+strings.TrimSpace(string(value)))
	}
	// What the pages say, and what it is here: the binary is built once, and ports may be others'.
	s.replace = []string{
		"go run ./cmd/edgegate demo", "edgegate demo --listen localhost:" + s.port, "go run ./cmd/edgegate", "edgegate",
		"localhost:8000", "localhost:" + s.port, "own.localhost:8000", "own.localhost:" + s.port,
		"localhost:2019", s.admin,
	}
	cmd := exec.Command("bash", "--noprofile", "--norc")
	cmd.Dir, cmd.Env, cmd.Stderr = dir, s.env, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for len(s.started) > 0 {
			s.stop()
		}
		_ = s.in.Close()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return s
}

// here is text of the page with what is other here.
func (s *session) here(text string) string { return strings.NewReplacer(s.replace...).Replace(text) }

// put adds pairs that go before all others.
func (s *session) put(pairs ...string) { s.replace = append(pairs, s.replace...) }

func (s *session) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run has the shell do a command, which sees what earlier ones left: variables, files.
func (s *session) run(command string) (said string, code int, err error) {
	if s.hangs {
		return "", 0, errors.New("a command before it did not end")
	}
	s.write(".step", command+"\n")
	if _, err := fmt.Fprintf(s.in, ". %s/.step >%s/.said 2>&1 </dev/null; echo \"ended $?\"\n", s.dir, s.dir); err != nil {
		return "", 0, err
	}
	ended := make(chan error, 1)
	go func() {
		text, err := s.out.ReadString('\n')
		if err == nil {
			_, err = fmt.Sscanf(text, "ended %d\n", &code)
		}
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-time.After(patience):
		s.hangs = true // its goroutine still reads what the shell says
		err = errors.New("it does not end: have the rule start it instead")
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, ".said"))
	return string(text), code, err
}

// start runs a command in the background until until matches what it says; nil waits for the admin endpoint.
func (s *session) start(command string, until *regexp.Regexp) (said string, err error) {
	log, err := os.CreateTemp(s.dir, ".log-")
	if err != nil {
		return "", err
	}
	defer log.Close()
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	child := &started{cmd: cmd, log: log.Name(), done: make(chan struct{})}
	s.started = append(s.started, child)
	go func() {
		_ = cmd.Wait()
		close(child.done)
	}()
	ready := func() bool {
		if until == nil {
			return s.answers("http://" + s.admin + "/edge_functions/status")
		}
		text, _ := os.ReadFile(child.log)
		return until.Match(text)
	}
	err = s.wait("it is up", ready, child.done)
	text, _ := os.ReadFile(child.log)
	return string(text), err
}

// stop ends what was started last, as ctrl-C does.
func (s *session) stop() {
	child := s.started[len(s.started)-1]
	s.started = s.started[:len(s.started)-1]
	group := -child.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGINT)
	select {
	case <-child.done:
	case <-time.After(15 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-child.done
}

// wait polls until done is true, or gone is closed.
func (s *session) wait(what string, done func() bool, gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-gone:
			return fmt.Errorf("waiting until %s: the command ended", what)
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func (s *session) answers(url string) bool {
	res, err := http.Get(url)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// gateway starts the real binary with a Caddyfile that is not the page's.
func (s *session) gateway(caddyfile string, env ...string) {
	s.t.Helper()
	s.write("gateway.caddyfile", s.here(caddyfile))
	command := strings.Join(append(env, "edgegate run --adapter caddyfile --config gateway.caddyfile"), " ")
	if said, err := s.start(command, nil); err != nil {
		s.t.Fatalf("%v\n%s", err, lastLines(said, 10))
	}
}

// copyTree copies a directory of the repository into the session's, with the ports of the session.
func (s *session) copyTree(name string) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(s.dir, short)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, []byte(s.here(string(text))), info.Mode().Perm())
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

var (
	handingOut sync.Mutex // guards handedOut
	handedOut  = make(map[int]bool)
)

// freePort finds a port that nobody listens on, and gives none out twice.
func freePort(t *testing.T) string { return strconv.Itoa(freePorts(t, 1)) }

// freePorts finds the first of n ports in a row. They lie below those that the kernel gives to connections: a page may use its port late.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	handingOut.Lock()
	defer handingOut.Unlock()
	for range 1000 {
		first := 10000 + rand.IntN(20000)
		free := true
		for port := first; port < first+n && free; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = l.Close()
			}
			free = err == nil && !handedOut[port]
		}
		if free {
			for port := first; port < first+n; port++ {
				handedOut[port] = true
			}
			return first
		}
	}
	t.Fatal("no free port was found")
	return 0
}
