package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/routing/projects"
)

// What is wrong with some of many projects is logged, at most twenty lines of it, and status has it all.
func TestProblemsOfProjects(t *testing.T) {
	logged.forget()
	load(t, textApp(t, fileJSON("first")))
	app := runningApp(t)
	var list []string
	for i := range 25 {
		list = append(list, fmt.Sprintf(`{"ref":"%c%s","functions":[{"slug":"a","verify_jwt":true}],"regions":["us-east-1","mars-%d"]}`, 'a'+i, strings.Repeat("b", 19), i))
	}
	input, err := projects.SplitFile([]byte(`{"projects":[` + strings.Join(list, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := app.keeper.Apply(input); err != nil {
		t.Fatal(err)
	}
	status := app.ProjectStatus()
	if status.Projects != 25 || status.ProblemsTotal < 25 || len(status.Problems) != min(status.ProblemsTotal, shownProblems) {
		t.Fatalf("%d problems, %d of them shown", status.ProblemsTotal, len(status.Problems))
	}
	logged.expect(t, "further problems in projects omitted", fmt.Sprintf(`"problems":%d`, status.ProblemsTotal-maxLoggedProblems))
	if n := len(logged.having("problem in project", `"problem":`)); n != maxLoggedProblems {
		t.Errorf("%d problems in the log", n)
	}
}

// Of records that are taken over one by one, the good ones are in force and the others an error.
func TestSomeProjectsAreInvalid(t *testing.T) {
	logged.forget()
	load(t, textApp(t, fileJSON("first")))
	app := runningApp(t)
	input, err := projects.SplitFile([]byte(`{"projects":[` + projectJSON("good") + `,{"ref":"short","functions":[]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	input.KeepGood = true
	if err := app.keeper.Apply(input); err != nil {
		t.Fatal(err)
	}
	serves(t, "good")
	if status := app.ProjectStatus(); status.Error == nil || status.Projects != 1 || status.LoadedAt == nil {
		t.Errorf("status %+v", status)
	}
	if failures := app.scrape().Projects.Failures; failures == 0 {
		t.Error("no failure in the metrics")
	}
	logged.expect(t, "invalid projects not loaded", `"left_out":1`, `"level":"error"`)
	conditions := app.projectConditions()
	if len(conditions) != 1 || conditions[0].State != "stale" || !strings.HasPrefix(conditions[0].Why, "the latest are not in force: ") {
		t.Errorf("conditions %+v", conditions)
	}
	before := app.keeper.current().failures
	for range 2 {
		app.keeper.Fail(errors.New("gone fishing"))
	}
	if n := len(logged.having("gone fishing")); n == 0 || len(logged.having("gone fishing", `"level":"error"`)) != 1 || app.keeper.current().failures != before+2 {
		t.Errorf("%d lines of one error, failures %d", n, app.keeper.current().failures)
	}
}

// Who orders a drain learns which projects may run nowhere else, a hundred at most.
func TestDrainWarnsOfProjects(t *testing.T) {
	var list []string
	for i := range shownProblems + 2 {
		list = append(list, fmt.Sprintf(`{"ref":"%c%c%s","functions":[{"slug":"a"}],"regions":["us-east-1"]}`, 'a'+i/26, 'a'+i%26, strings.Repeat("b", 18)))
	}
	load(t, []byte(strings.Replace(string(textApp(t, `{"projects":[`+strings.Join(list, ",")+`]}`)), `"regions":[`, `"regions":[{"name":"eu-west-1","backends":["http://127.0.0.1:9"]},`, 1)))
	answer, err := post(t, "drain", `{"region":"us-east-1","dry_run":true}`)
	if err != nil || len(answer.Warnings) != shownProblems+1 || answer.Warnings[shownProblems] != "and 2 more" ||
		!strings.HasPrefix(answer.Warnings[0], "project ") || !strings.HasSuffix(answer.Warnings[0], " may run nowhere else: its requests will be answered 503") {
		t.Errorf("%v, %d warnings, the last ones %q", err, len(answer.Warnings), answer.Warnings[max(0, len(answer.Warnings)-2):])
	}
	if answer, err = post(t, "drain", `{"region":"eu-west-1","dry_run":true}`); err != nil || len(answer.Warnings) != 0 || !slices.Equal(answer.Takers, []string{"us-east-1"}) {
		t.Errorf("a region of nobody's: %+v, %v", answer, err)
	}
}

// Limits of one scope are told apart by their windows, and each name is one limit's.
func TestNamesOfLimits(t *testing.T) {
	limit := func(window string) string { return `{"scope":"project","count":5,"window":"` + window + `"}` }
	load(t, appConfig(strings.Replace(goodApp, `{`, `{"rate_limits":[`+limit("1s")+`,`+limit("1m")+`,`+limit("1m")+`],`, 1)))
	var names []string
	for _, r := range runningApp(t).limits.rates {
		if slices.Contains(names, r.Name) {
			t.Errorf("two limits are %s", r.Name)
		}
		names = append(names, r.Name)
	}
	if len(names) != 3 || names[0] != "project" || names[1] != "project-1m0s" {
		t.Errorf("names %q", names)
	}
	if policy := runningApp(t).limits.policy; strings.Count(policy, "q=5") != 3 {
		t.Errorf("policy %s", policy)
	}
}

// The lines of a Caddyfile that are short of an argument, or have one too many.
func TestLinesWithoutArguments(t *testing.T) {
	for line, want := range map[string]string{
		"currency": "currency", "capacity_share": "capacity_share", "retry_status": "retry_status", "retry_body": "retry_body", "rate_limit project": "rate_limit",
		"store": "store", "plan own {\nquota\n}": "quota", "plan own {\noverage 2\n}": "overage", "region a {\nbias\n}": "bias", "region a {\ntls yes\n}": `unexpected "yes"`,
		"locate {\nmmdb\n}": "mmdb", "locate {\nheader a a\n}": "it is listed twice",
		"project default {\norganization\n}": "organization", "project default {\nstripe_customer\n}": "stripe_customer",
	} {
		if err := adaptOptions(line); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%q: %v, want %q with its line", line, err, want)
		}
	}
}
