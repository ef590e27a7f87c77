package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/auth/jwks"
	"github.com/edgegate/edgegate/routing/projects"
)

// built makes projects of the text of a projects file.
func built(t *testing.T, text string) *projects.Snapshot {
	t.Helper()
	builder, err := projects.NewBuilder(projects.BuilderConfig{
		Apex:    "example.com",
		Regions: []string{"us-east-1"},
		Plans:   projects.BuiltinPlans(),
		Resolve: func(text string) (string, error) { return text, nil },
		Keys:    jwks.NewPool(jwks.PoolConfig{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	input, err := projects.SplitFile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, report, err := builder.Build(input)
	if err != nil || report.Errors != nil {
		t.Fatal(err, report.Errors)
	}
	return snapshot
}

// bySeverity returns the severities of findings by their checks. Each finding must have a remedy, and none a secret.
func bySeverity(t *testing.T, findings []Finding) map[string]Severity {
	t.Helper()
	found := make(map[string]Severity)
	for _, f := range findings {
		found[f.Check] = f.Severity
		if f.Remedy == "" || f.Subject == "" || f.Message == "" || strings.Contains(fmt.Sprint(f), "super-secret") {
			t.Errorf("finding %+v", f)
		}
	}
	return found
}

// Contract 4.8, and what else the audit finds in projects: each finding has a remedy, and no secret in it.
func TestProjects(t *testing.T) {
	slugs := make([]string, shownFunctions+2)
	for i := range slugs {
		slugs[i] = fmt.Sprintf(`{"slug":"f%02d","verify_jwt":false}`, i)
	}
	text := `{"projects":[{"ref":"abcdefghijklmnopqrst","jwt":{"secrets":["super-secret-jwt-token-with-at-least-32-characters-long","7Kq2mXw9Zr4Tn8Lb6Vh3Jd5Fs1Gp0Yc0"]},
		"api_keys":[{"name":"web","type":"publishable","key":"sb_publishable_abc123","expires_at":"2020-01-01T00:00:00Z"},{"type":"publishable","key":"sb_publishable_def456"}],
		"functions":[{"slug":"own","verify_jwt":false,"cors":"function"},` + strings.Join(slugs, ",") + `]}]}`
	in := &Projects{
		InForce:  built(t, text).All(),
		Source:   "file",
		Error:    "line 1\nline 2",
		Problems: []projects.Problem{{Path: "projects[0]", Message: "odd", Remedy: "mend it"}},
	}
	findings := ofProjects(in, time.Now())
	found := bySeverity(t, findings)
	for check, severity := range map[string]Severity{
		"weak_secret": High, "unused_secret": Info, "expired_key": Low, "unused_key": Info,
		"projects_error": Medium, "projects_problem": Low,
	} {
		if found[check] != severity {
			t.Errorf("%s: %q, want %q in %v", check, found[check], severity, found)
		}
	}
	open := slices.IndexFunc(findings, func(f Finding) bool { return f.Check == "verify_jwt_off" && f.Severity == Low })
	if open < 0 || !strings.HasSuffix(findings[open].Subject, "and 2 more") {
		t.Errorf("no function that anyone may call in %+v", findings)
	}
	if !slices.ContainsFunc(findings, func(f Finding) bool { return f.Check == "verify_jwt_off" && f.Severity == Info }) {
		t.Errorf("no function that answers preflights in %+v", findings)
	}
	failed := findings[len(findings)-2]
	if failed.Message != "the latest projects are not in force: line 1; line 2" || !strings.Contains(failed.Remedy, "edgegate projects check") {
		t.Errorf("%+v", failed)
	}
	in.Source = "redis"
	if findings := ofProjects(in, time.Now()); !strings.Contains(findings[len(findings)-2].Remedy, "whether Redis answers") {
		t.Errorf("%+v", findings)
	}
}

// A project whose only keys lie behind a URL that was never reached has keys all the same; what is wrong is the URL.
func TestNoKeys(t *testing.T) {
	const project = `{"projects":[{"ref":"abcdefghijklmnopqrst","jwt":{%s},"functions":[{"slug":"hello"}]}]}`
	for _, tc := range []struct {
		name, jwt string
		noKeys    bool
	}{
		{"nothing", ``, true},
		{"a URL", `"jwks_url":"https://auth.example.com/keys"`, false},
		{"a secret", `"secret":"7Kq2mXw9Zr4Tn8Lb6Vh3Jd5Fs1Gp0Yc0"`, false},
	} {
		findings := ofProjects(&Projects{InForce: built(t, fmt.Sprintf(project, tc.jwt)).All()}, time.Now())
		if _, found := bySeverity(t, findings)["no_keys"]; found != tc.noKeys {
			t.Errorf("%s: no_keys: %v, want %v", tc.name, found, tc.noKeys)
		}
	}
}

func TestKeySets(t *testing.T) {
	found := bySeverity(t, ofKeySets([]jwks.RemoteStatus{
		{Location: "https://good.example.com/keys"},
		{Location: "http://127.0.0.1/keys"},
		{Location: "http://plain.example.com/keys", Remarks: []string{"a key of 1024 bits"}},
		{Location: "https://away.example.com/keys", Error: "timeout"},
	}))
	if found["jwks_unavailable"] != Medium || found["jwks_unencrypted"] != High || found["jwks_key"] != Low || len(found) != 3 {
		t.Errorf("%v", found)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, set := range map[string]jwks.RemoteStatus{
		"it was never read":                      {Error: "timeout"},
		"the one of 2026-01-02T03:04:05Z serves": {Error: "timeout", FetchedAt: at},
	} {
		if got := ofKeySets([]jwks.RemoteStatus{set}); len(got) != 1 || !strings.Contains(got[0].Message, want) {
			t.Errorf("%+v, want in it %q", got, want)
		}
	}
}
