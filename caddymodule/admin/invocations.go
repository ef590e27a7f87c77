package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

const (
	// usualInvocations and mostInvocations are the default and the maximum of ?limit=.
	usualInvocations = 50
	mostInvocations  = 10_000
)

// invocationParameters are the query parameters of a question about invocations.
var invocationParameters = []string{"project", "function", "region", "status", "since", "until", "slow", "limit", "follow"}

// listInvocations is the endpoint of single invocations. With ?follow=true the answer goes
// on: a line of JSON for each.
func listInvocations(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return refuseMethod(w, http.MethodGet)
	}
	if err := checkParameters(r, invocationParameters); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	app, err := gateway.Running()
	if err != nil {
		return err
	}
	if err := answerInvocations(app, w, r); err != nil {
		return caddy.APIError{HTTPStatus: statusOf(err), Err: hinted(app, err)}
	}
	return nil
}

func answerInvocations(app *gateway.App, w http.ResponseWriter, r *http.Request) error {
	ledger := app.Engine().Ledger()
	if ledger == nil {
		return billing.ErrNotOpen
	}
	values := r.URL.Query()
	q, err := invocationQuery(values, ledger.Now())
	if err != nil {
		return err
	}
	switch follow := values.Get("follow"); follow {
	case "true":
		return followInvocations(app, w, r, q)
	case "", "false":
	default:
		return fmt.Errorf("follow %q: allowed are true, false", follow)
	}
	answer, err := invocations.List(r.Context(), ledger.RecordLogs(), app.Refused(), q)
	if err == nil && len(answer.Invocations) == 0 {
		err = checkNames(app, ledger.RecordLogs(), &q)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

// invocationQuery reads a question about invocations. now is the billing clock.
func invocationQuery(values url.Values, now time.Time) (q invocations.Query, err error) {
	q = invocations.Query{
		Project:  values.Get("project"),
		Function: values.Get("function"),
		Region:   values.Get("region"),
		Limit:    usualInvocations,
	}
	if status := values.Get("status"); status != "" {
		if q.Status, err = invocations.ParseStatuses(status); err != nil {
			return q, err
		}
	}
	if q.Since, err = instant("since", values.Get("since"), now); err != nil {
		return q, err
	}
	if q.Until, err = instant("until", values.Get("until"), now); err != nil {
		return q, err
	}
	if slow := values.Get("slow"); slow != "" {
		if q.Slow, err = caddy.ParseDuration(slow); err != nil || q.Slow < 0 {
			return q, fmt.Errorf("slow %q: must be a duration such as 2s", slow)
		}
	}
	if limit := values.Get("limit"); limit != "" {
		if q.Limit, err = strconv.Atoi(limit); err != nil || q.Limit < 1 || q.Limit > mostInvocations {
			return q, fmt.Errorf("limit %q: must be a number from 1 to %d", limit, mostInvocations)
		}
	}
	return q, nil
}

// instant reads a time, or how long before now it is; "" is the zero time.
func instant(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := caddy.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%s %q: must be a duration such as 1h or 7d, or a time such as 2026-11-20T12:00:00Z", name, text)
	}
	return at, nil
}

// checkNames returns an error if a question names what neither the configuration has nor
// any record.
func checkNames(app *gateway.App, logs []metering.RecordLog, q *invocations.Query) error {
	known, configured := knownNames{}, false
	for p := range app.Projects() {
		known.projects = append(known.projects, p.Ref)
		if q.Project == "" || p.Ref == q.Project {
			f, found := p.Function(q.Function)
			configured = configured || found && f.Slug == q.Function // not one that * stands for
		}
	}
	for _, r := range app.Regions {
		known.regions = append(known.regions, r.Name)
	}
	for i := range logs {
		known.add(&logs[i], q.Project)
	}
	switch {
	case q.Project != "" && !slices.Contains(known.projects, q.Project):
		return unknownName("project", q.Project, known.projects)
	case q.Function != "" && !configured && !slices.Contains(known.functions, q.Function):
		return unknownName("function", q.Function, known.functions)
	case q.Region != "" && !slices.Contains(known.regions, q.Region):
		return unknownName("region", q.Region, known.regions)
	}
	return nil
}

func unknownName(what, name string, known []string) error {
	return &billing.UnknownError{
		What:    what,
		Name:    name,
		Problem: "no such " + what + " is configured, and none has records",
		Known:   known,
	}
}

type knownNames struct{ projects, functions, regions []string }

// add adds the names in a log; of functions those of a project, if one is named.
func (k *knownNames) add(log *metering.RecordLog, project string) {
	for _, s := range log.Subjects() {
		k.projects = append(k.projects, s.Project)
		if s.Function != "" && (project == "" || s.Project == project) {
			k.functions = append(k.functions, s.Function)
		}
	}
	k.regions = append(k.regions, log.Regions()...)
}
