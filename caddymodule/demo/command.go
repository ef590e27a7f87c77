package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "demo",
		Usage: "[--listen ADDR] [--deno DIR]",
		Short: "Runs the whole gateway with three simulated regions and sample functions",
		Long: `Runs the whole gateway in this process, in front of three simulated regions with
real added latency, and prints keys and curl lines to try. Ctrl-C stops it.

With --deno it serves a folder of functions in Supabase's layout,
DIR/<slug>/index.ts, by one deno process for each region and function, started
at its first call. Folders that start with _ or . are left out, DIR/.env is
given to the functions, and verify_jwt is read from DIR/../config.toml.`,
		CobraFunc: setUp,
	})
}

// exitUsage is the exit code of wrong usage, after INTERFACE.md.
const exitUsage = 2

// problem is an error with what to do about it: the command prints both as one JSON line on standard error.
type problem struct {
	message string
	hint    string
	usage   bool
}

func (p *problem) Error() string { return p.message }

// setUp gives the cobra command its flags, its example and its exit codes.
func setUp(cmd *cobra.Command) {
	cmd.Example = `  edgegate demo
  edgegate demo --listen 127.0.0.1:9000
  edgegate demo --deno supabase/functions`
	cmd.Flags().String("listen", "localhost:8000", "where the gateway listens: host:port, :port or port")
	cmd.Flags().String("deno", "", "serve this folder of Deno functions instead of the samples")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	const hint = "edgegate demo --help lists the flags"
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return report(cmd, &problem{message: err.Error(), hint: hint, usage: true})
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return report(cmd, &problem{message: fmt.Sprintf("demo takes no argument, got %q", args[0]), hint: hint, usage: true})
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		listen, _ := cmd.Flags().GetString("listen")
		deno, _ := cmd.Flags().GetString("deno")
		opt := options{listen: listen, deno: deno, stdout: cmd.OutOrStdout()}
		if err := run(opt); err != nil {
			return report(cmd, err)
		}
		select {} // Caddy's signal handling ends the process, with exit code 0
	}
}

// run starts everything and leaves the end to Caddy: its own handling of SIGINT and SIGTERM makes caddy.Exiting true, which the
// gateway needs to say goodbye to WebSockets, and calls the demo's stop after the gateway's.
func run(opt options) error {
	d, err := start(opt)
	if err != nil {
		return err
	}
	caddy.TrapSignals()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		// Caddy ignores SIGHUP as a daemon should; a demo whose terminal was closed would keep the port for ever.
		<-hangup
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Signal(syscall.SIGTERM)
		}
	}()
	caddy.OnExit(d.onExit)
	if err := d.load(); err != nil {
		d.stop()
		return err
	}
	return d.announce(opt.stdout)
}

// report prints err as the one JSON line of INTERFACE.md and returns what makes Caddy's Main exit with the right code: any error is
// 1, and 2 is only to be had through Caddy's own wrapper, whose error type is not exported.
func report(cmd *cobra.Command, err error) error {
	writeProblem(cmd.ErrOrStderr(), err)
	var p *problem
	if errors.As(err, &p) && p.usage {
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitUsage, nil })(cmd, nil)
	}
	return err
}

func writeProblem(w io.Writer, err error) {
	line := struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}{Error: err.Error(), Hint: "this is a fault of the demo itself: please report it"}
	if p, ok := errors.AsType[*problem](err); ok {
		line.Hint = p.hint
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(line)
}
