// Package demo is the `edgegate demo` command: the whole gateway in one process in front of three simulated regions, to try
// edgegate right after cloning the repository.
//
// It decides what the simulated regions look like (their names, the latency added to each, the sample functions or the folder of
// Deno functions they serve), which keys the demo project has, and what is printed. It decides nothing about requests: it writes a
// Caddyfile of the kind a user would write and loads it, so the gateway under demonstration is the one that ships.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// regionPlan is the demo's geography: the gateway stands in eu-central-1 and each delay is the round trip from there, rounded from
// public inter-region measurements. Both the added latency and the order of the gateway's own prior follow from it.
var regionPlan = []struct {
	name  string
	delay time.Duration
}{
	{"eu-central-1", 3 * time.Millisecond},
	{"us-east-1", 93 * time.Millisecond},
	{"ap-southeast-1", 164 * time.Millisecond},
}

// gatewayLocation is the pretended place of the demo's gateway.
const gatewayLocation = "eu-central-1"

// runtime serves the functions of a region: the sample functions, or a folder of Deno functions.
type runtime interface {
	// handler returns what one region answers.
	handler(region string) http.Handler
	// functions lists what the gateway should know, in the order it is printed.
	functions() []function
	// stop ends whatever the runtime started and returns when it is gone.
	stop()
}

// function is one deployed function as the gateway's configuration names it.
type function struct {
	slug      string
	verifyJWT bool
}

// options are the command's flags as typed.
type options struct {
	listen string
	deno   string
	stdout io.Writer // the announcement, and the lines of Deno functions
}

// demo is one running demonstration.
type demo struct {
	listen  listenAddress
	admin   string
	keys    keys
	regions []*region
	runtime runtime
	output  io.Writer
	state   string // the directory of what the gateway keeps, gone with it

	stopOnce sync.Once
}

// say prints the next step, so that the terminal is not silent for long.
func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.output, format+"\n", args...) }

// start brings up the regions and the runtime behind them, leaving the gateway itself to load. On an error nothing stays running.
func start(opt options) (*demo, error) {
	addr, err := parseListen(opt.listen)
	if err != nil {
		return nil, err
	}
	if addr, err = addr.probe(); err != nil {
		return nil, err
	}
	admin, err := adminAddress(caddy.DefaultAdminListen)
	if err != nil {
		return nil, err
	}
	k, err := newKeys(time.Now())
	if err != nil {
		return nil, err
	}
	d := &demo{
		listen: addr,
		admin:  admin,
		keys:   k,
		output: opt.stdout,
	}
	if d.state, err = os.MkdirTemp("", "edgegate-demo-"); err != nil {
		return nil, fmt.Errorf("making a directory for the gateway: %w", err)
	}
	if opt.deno == "" {
		d.runtime = samples{}
	} else {
		d.runtime, err = newDenoRuntime(denoConfig{
			dir:    opt.deno,
			url:    addr.url(),
			keys:   k,
			state:  d.state,
			output: opt.stdout,
		})
		if err != nil {
			_ = os.RemoveAll(d.state)
			return nil, err
		}
	}
	d.say("starting %d regions ...", len(regionPlan))
	for _, plan := range regionPlan {
		r := &region{name: plan.name, delay: plan.delay, handler: d.runtime.handler(plan.name)}
		if err := r.start(); err != nil {
			d.stop()
			return nil, fmt.Errorf("starting region %s: %w", plan.name, err)
		}
		d.regions = append(d.regions, r)
	}
	return d, nil
}

// load adapts the demo's Caddyfile and starts it in this process, or puts it in the place of the one that runs.
func (d *demo) load() error {
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return errors.New("loading the gateway: this build has no Caddyfile adapter")
	}
	config, _, err := adapter.Adapt(d.caddyfile(), map[string]any{"filename": "demo"})
	if err != nil {
		return fmt.Errorf("adapting the demo's Caddyfile: %w", err)
	}
	if err := caddy.Load(config, true); err != nil {
		return fmt.Errorf("loading the gateway: %w", err)
	}
	return nil
}

// stop ends the regions, then the runtime: requests of a stopping gateway have been finished or cut by then. It may be called twice.
func (d *demo) stop() {
	d.stopOnce.Do(func() {
		for _, r := range d.regions {
			r.stop()
		}
		d.runtime.stop()
		_ = os.RemoveAll(d.state)
	})
}

// onExit is stop in the shape Caddy calls when the process ends, after its own apps have stopped.
func (d *demo) onExit(context.Context) { d.stop() }
