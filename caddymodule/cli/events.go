package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/events"
	statelogs "github.com/edgegate/edgegate/caddymodule/logs"
)

// maxEvent bounds a line of the stream of events, in bytes.
const maxEvent = 1 << 16

func eventsCommand(now func() time.Time) caddycmd.Command {
	return caddycmd.Command{
		Name:  "events",
		Usage: "[-f] [--since DURATION] [--what KIND] " + flags,
		Short: "Shows what happened: changes of state of regions, backends, stores and so on",
		Long: `Shows the changes of state of the last 7 days, of all gateways that share the
store: of regions, backends, breakers, Redis, the ledger, key sets, projects,
exporters, certificates, quotas and of the gateways themselves. Each one is a line
"state changed" of the log too.

With -f, shows each one as it comes, until interrupted; -o json is then a line of
JSON for each.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = examples("events", "", " --since 1h --what region", " -f", " -o json")
			follow := cmd.Flags().BoolP("follow", "f", false, "show each one as it comes")
			since := cmd.Flags().String("since", "168h", "how far back; not with -f")
			what := cmd.Flags().String("what", "", "only this kind, such as region, backend or certificate")
			ask(cmd, now, func() (question, answer, error) {
				if age, err := caddy.ParseDuration(*since); err != nil || age <= 0 {
					return question{}, nil, &UsageError{Msg: fmt.Sprintf("--since %q: must be a duration", *since), Hint: "write a duration such as --since 1h"}
				}
				query := url.Values{"since": {*since}}
				if *what != "" {
					if err := OneOf("what", *what, statelogs.KindNames()...); err != nil {
						return question{}, nil, err
					}
					query.Set("what", *what)
				}
				if !*follow {
					return question{uri: "/edge_functions/events?" + query.Encode()}, &eventsAnswer{}, nil
				}
				if err := refuseFlags(cmd, "with -f", "since"); err != nil {
					return question{}, nil, err
				}
				query.Del("since")
				query.Set("follow", "true")
				return question{stream: func(ctx context.Context, gateway admin, output string) error {
					f := follower{
						cmd:     cmd,
						gateway: gateway,
						query:   query,
						json:    output == "json",
					}
					return f.run(ctx)
				}}, nil, nil
			})
		},
	}
}

type eventsAnswer struct{ events.Answer }

func (a *eventsAnswer) complete() bool { return a.Events != nil }

func (a *eventsAnswer) partial() string { return a.Partial }

func (a *eventsAnswer) table(w io.Writer, _ time.Time) {
	if len(a.Events) == 0 {
		fmt.Fprintln(w, "nothing happened")
		return
	}
	for _, e := range a.Events {
		_, _ = io.WriteString(w, eventText(e))
	}
}

// eventText is an event in one or two lines: what changed, and why.
func eventText(e events.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s %s: %s -> %s", e.At.UTC().Format("2006-01-02 15:04:05Z"), printable(e.What), printable(e.Name), printable(e.From), printable(e.To))
	if e.Gateway != "" {
		fmt.Fprintf(&b, "  (%s)", printable(e.Gateway))
	}
	b.WriteByte('\n')
	var more []string
	if e.Why != "" {
		more = append(more, printable(e.Why))
	}
	if e.Omitted > 0 {
		more = append(more, counted(e.Omitted, "earlier change")+" of it not kept: too many")
	}
	if len(more) > 0 {
		fmt.Fprintf(&b, "    %s\n", strings.Join(more, "; "))
	}
	return b.String()
}

const (
	// A gateway that follows ends its stream when its configuration changes: the command
	// asks again, for as long as patience.
	followPause = 300 * time.Millisecond
	patience    = 10 * time.Second
)

// follower shows events as they come.
type follower struct {
	cmd     *cobra.Command
	gateway admin
	query   url.Values
	json    bool
	last    string // id of the latest event
	joined  bool   // the gateway has answered once
}

// run follows until ctx is done or the gateway is gone.
func (f *follower) run(ctx context.Context) error {
	reached := time.Now()
	for {
		connected, err := f.stream(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if connected {
			reached = time.Now()
		}
		var failure *FailureError
		passing := err == nil || errors.As(err, &failure) && (failure.unreached || failure.status == "503") && f.joined
		if !passing || time.Since(reached) > patience {
			if err == nil {
				err = &FailureError{Msg: "the gateway ends its answers at once", Hint: "`edgegate status` says what is wrong with it"}
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

// stream shows the events of one answer of the gateway.
func (f *follower) stream(ctx context.Context) (connected bool, err error) {
	if f.last != "" {
		f.query.Set("after", f.last)
	}
	resp, err := caddycmd.AdminAPIRequest(f.gateway.address, http.MethodGet, "/edge_functions/events?"+f.query.Encode(), nil, nil)
	if err != nil {
		return false, f.gateway.failure(err, question{})
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return false, f.gateway.stranger("no stream of events")
	}
	stop := context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
	defer stop()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	f.joined = true
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			f.last = id
		}
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e events.Event
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.ID == "" {
			return true, f.gateway.stranger("another JSON than expected, or none")
		}
		line := text + "\n"
		if !f.json {
			line = eventText(e)
		}
		if err := show(f.cmd, []byte(line)); err != nil {
			return true, err
		}
	}
	return true, nil
}
