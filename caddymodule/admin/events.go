package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/events"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/regions/spelling"
)

// listEvents answers the events that are kept, or, with follow=true or for a client that
// accepts text/event-stream, each one as it comes.
func listEvents(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return refuseMethod(w, http.MethodGet)
	}
	err := checkParameters(r, []string{"what", "since", "follow", "after"})
	what := r.FormValue("what")
	if err == nil {
		err = checkKind(what)
	}
	since := events.Age
	if text := r.FormValue("since"); text != "" && err == nil {
		if since, err = caddy.ParseDuration(text); err != nil || since <= 0 {
			err = fmt.Errorf("since %q: must be a duration such as 1h", text)
		}
	}
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	app, err := gateway.Running()
	if err != nil {
		return err
	}
	if r.FormValue("follow") == "true" || strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return followEvents(app, w, r, what)
	}
	answer := app.Events().List(r.Context())
	from := time.Now().Add(-since)
	answer.Events = slices.DeleteFunc(answer.Events, func(e events.Event) bool {
		return e.At.Before(from) || what != "" && e.What != what
	})
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

func checkKind(what string) error {
	known := logs.KindNames()
	if what == "" || slices.Contains(known, what) {
		return nil
	}
	return fmt.Errorf("what %q: allowed are %s%s", what, strings.Join(known, ", "), spelling.DidYouMean(what, known))
}

// followEvents sends events as server-sent events until the client leaves or another
// configuration takes over: the admin endpoint waits for its answers then.
func followEvents(app *gateway.App, w http.ResponseWriter, r *http.Request, what string) error {
	ctx, cancel := app.While(r.Context())
	defer cancel()
	flush := http.NewResponseController(w).Flush
	begun := false
	begin := func() {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
		}
	}
	// Without data it is no event: it shows that the connection lives, and from which
	// event on the client goes on if it ends.
	alive := func(latest string) error {
		begin()
		text := ":\n\n"
		if latest != "" {
			text = "id: " + latest + "\n\n"
		}
		_, err := io.WriteString(w, text)
		return errors.Join(err, flush())
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.FormValue("after")
	}
	err := app.Events().Follow(ctx, after, func(e events.Event) error {
		if what != "" && e.What != what {
			return nil
		}
		begin()
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding an event: %w", err)
		}
		_, err = fmt.Fprintf(w, "id: %s\ndata: %s\n\n", e.ID, text)
		return errors.Join(err, flush())
	}, alive)
	if errors.Is(err, events.ErrFollowers) {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	return nil // the client has left
}
