package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

const (
	eventA = `{"id":"1-a","at":"2026-11-23T11:00:00Z","gateway":"a","what":"region","name":"eu-west-1","from":"up","to":"down","why":"refused","omitted":3}`
	eventB = `{"id":"2-b","at":"2026-11-23T11:00:05.5Z","gateway":"b","what":"region","name":"eu\u001b[31m","from":"down","to":"up","why":"","omitted":0}`
	textA  = "2026-11-23 11:00:00Z  region eu-west-1: up -> down  (a)\n    refused; 3 earlier changes of it not kept: too many\n"
	textB  = "2026-11-23 11:00:05Z  region eu\\x1b[31m: down -> up  (b)\n"
)

func TestEventsCommand(t *testing.T) {
	g := serve(t, 200, `{"events":[`+eventA+`,`+eventB+`]}`)
	stdout, stderr, code := execute(t, "events", "--what", "region", "--address", g.address())
	if code != 0 || stdout != textA+textB || stderr != "" || g.questions()[0] != "GET /edge_functions/events?since=168h&what=region" {
		t.Errorf("exit code %d, %s%s, asked %q", code, stdout, stderr, g.questions())
	}
	g = serve(t, 200, `{"events":[],"partial":"the store does not answer"}`)
	stdout, stderr, code = execute(t, "events", "--address", g.address())
	if code != 3 || stdout != "nothing happened\n" || !strings.Contains(stderr, "the store does not answer") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	for args, want := range map[string]string{
		"--since long":   `--since "long": must be a duration`,
		"--since=-1h":    `--since "-1h": must be a duration`,
		"--what regoin":  `--what "regoin": allowed are region, backend`,
		"-f --since 24h": "--since: not with -f",
	} {
		_, stderr, code := execute(t, append([]string{"events", "--address", g.address()}, strings.Fields(args)...)...)
		if message, _ := said(t, stderr); code != 2 || !strings.HasPrefix(message, want) {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
}

// The command goes on where it was when the gateway ends its stream, and ends when it is gone.
func TestFollowEvents(t *testing.T) {
	for name, tc := range map[string]struct{ flag, want string }{
		"text": {"", textA + textB},
		"json": {"json", eventA + "\n" + eventB + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			var queries []string
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			g := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				queries = append(queries, r.URL.RawQuery)
				w.Header().Set("Content-Type", "text/event-stream")
				switch asked.Add(1) {
				case 1:
					_, _ = io.WriteString(w, "id: 0-a\n\n:\n\nid: 1-a\ndata: "+eventA+"\n\n")
				case 2:
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, `{"error":"the gateway is starting"}`)
				case 3:
					_, _ = fmt.Fprintf(w, "id: 2-b\ndata: %s\n\n", eventB)
				default:
					cancel()
				}
			}))
			defer g.Close()
			var out bytes.Buffer
			cmd := new(cobra.Command)
			cmd.SetOut(&out)
			f := follower{cmd: cmd, gateway: admin{address: g.Listener.Addr().String(), timeout: time.Minute}, query: map[string][]string{"follow": {"true"}}, json: tc.flag == "json"}
			if err := f.run(ctx); err != nil || out.String() != tc.want {
				t.Errorf("%v, %s", err, out.String())
			}
			if want := "follow=true, after=1-a&follow=true, after=1-a&follow=true, after=2-b&follow=true"; strings.Join(queries, ", ") != want {
				t.Errorf("asked %q, want %s", queries, want)
			}
		})
	}
	g := serve(t, 200, `{"events":[]}`)
	_, stderr, code := execute(t, "events", "-f", "--address", g.address())
	if message, _ := said(t, stderr); code != 1 || !strings.Contains(message, "is not the admin API of edgegate") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	g.Close()
	_, stderr, code = execute(t, "events", "-f", "--address", g.address())
	if message, _ := said(t, stderr); code != 1 || !strings.Contains(message, "no gateway answers at") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
