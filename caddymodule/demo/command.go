package demo

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/cli"
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
given to the functions, and DIR/../config.toml says verify_jwt, enabled,
entrypoint and import_map. Changes are in force at the next call.`,
		CobraFunc: setUp,
	})
}

// setUp gives the cobra command its flags, its example and its exit codes.
func setUp(cmd *cobra.Command) {
	cmd.Example = `  edgegate demo
  edgegate demo --listen 127.0.0.1:9000
  edgegate demo --deno supabase/functions`
	cmd.DisableFlagsInUseLine = true // they are all in Usage
	cmd.Flags().String("listen", "localhost:8000", "where the gateway listens: host:port, :port or port")
	cmd.Flags().String("deno", "", "serve this folder of Deno functions instead of the samples")
	cli.Run(cmd, func(context.Context) error {
		listen, _ := cmd.Flags().GetString("listen")
		deno, _ := cmd.Flags().GetString("deno")
		if err := run(options{listen: listen, deno: deno, stdout: cmd.OutOrStdout()}); err != nil {
			return err
		}
		select {} // Caddy's signal handling ends the process, with exit code 0
	})
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
	d.say("starting the gateway ...")
	if err := d.load(); err != nil {
		d.stop()
		return err
	}
	if err := d.announce(opt.stdout); err != nil {
		return err
	}
	if folder, ok := d.runtime.(*denoRuntime); ok {
		folder.watch(d.load)
	}
	return nil
}
