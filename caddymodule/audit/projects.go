package audit

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing/auth/jwks"
	"github.com/edgegate/edgegate/routing/projects"
)

// shownFunctions bounds the slugs that one finding lists.
const shownFunctions = 20

// ofKeySets judges the sets of public keys that are fetched.
func ofKeySets(sets []jwks.RemoteStatus) []Finding {
	var findings []Finding
	for _, set := range sets {
		if set.Error != "" {
			since := "it was never read"
			if !set.FetchedAt.IsZero() {
				since = "the one of " + set.FetchedAt.UTC().Format(time.RFC3339) + " serves"
			}
			findings = append(findings, Finding{
				Severity: Medium,
				Check:    "jwks_unavailable",
				Subject:  set.Location,
				Message:  fmt.Sprintf("the set of keys cannot be read, %s: %s", since, set.Error),
				Remedy:   "make the address answer, or correct it: keys that are added or taken back there have no effect until then",
			})
		}
		if Unencrypted(set.Location) {
			findings = append(findings, Finding{
				Severity: High,
				Check:    "jwks_unencrypted",
				Subject:  set.Location,
				Message:  "the set of keys comes unencrypted from another machine: who is between can put keys into it and sign tokens",
				Remedy:   "use https, or a file",
			})
		}
		for _, remark := range set.Remarks {
			findings = append(findings, Finding{
				Severity: Low,
				Check:    "jwks_key",
				Subject:  set.Location,
				Message:  remark,
				Remedy:   "publish public keys of P-256, RSA from 2048 bits or Ed25519 only",
			})
		}
	}
	return findings
}

func projectsRemedy(source string) string {
	if source == "redis" {
		return "see with `edgegate status` whether Redis answers; else correct what the message names"
	}
	return "`edgegate projects check FILE` lists what is wrong"
}

// ofProjects judges the projects in force, and how loading them goes.
func ofProjects(in *Projects, now time.Time) []Finding {
	var findings []Finding
	for p := range in.InForce {
		findings = append(findings, ofCredentials(p, now)...)
		findings = append(findings, ofFunctions(p)...)
	}
	if in.Error != "" {
		findings = append(findings, Finding{
			Severity: Medium,
			Check:    "projects_error",
			Subject:  "projects " + in.Source,
			Message:  "the latest projects are not in force: " + options.OneLine(errors.New(in.Error)),
			Remedy:   projectsRemedy(in.Source),
		})
	}
	for _, problem := range in.Problems {
		findings = append(findings, Finding{
			Severity: Low,
			Check:    "projects_problem",
			Subject:  problem.Path,
			Message:  problem.Message,
			Remedy:   problem.Remedy,
		})
	}
	return findings
}

// ofCredentials judges a project's secrets and keys. "Unused" counts from
// the start of the process.
func ofCredentials(p *projects.Project, now time.Time) []Finding {
	var findings []Finding
	usage := p.Auth.Usage()
	subject := func(what string) string { return "project " + p.Ref + ", " + what }
	for _, s := range usage.Secrets {
		what := fmt.Sprintf("HMAC secret %d", s.Position)
		switch {
		case s.WellKnown != "":
			findings = append(findings, Finding{
				Severity: High,
				Check:    "weak_secret",
				Subject:  subject(what),
				Message:  "anybody can sign tokens with it: " + s.WellKnown,
				Remedy:   "replace it by the output of `openssl rand -base64 32`, and the tokens that it signed",
			})
		case s.LastUsed.IsZero() && len(usage.Secrets) > 1:
			findings = append(findings, unused("unused_secret", subject(what), "the secret verified no token since the gateway started"))
		}
	}
	for _, k := range usage.APIKeys {
		what := subject(fmt.Sprintf("API key %s (%s, SHA-256 %s...)", quotedOr(k.Name, "without a name"), k.Type, k.HashPrefix))
		switch {
		case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
			findings = append(findings, Finding{
				Severity: Low,
				Check:    "expired_key",
				Subject:  what,
				Message:  "it expired at " + k.ExpiresAt.UTC().Format(time.RFC3339) + " and is refused",
				Remedy:   "remove it",
			})
		case k.LastUsed.IsZero():
			findings = append(findings, unused("unused_key", what, "no request brought it since the gateway started"))
		}
	}
	for _, k := range usage.PublicKeys {
		if k.LastUsed.IsZero() && k.Location == "" {
			findings = append(findings, unused("unused_key", subject("public key "+quotedOr(k.KeyID, k.Thumbprint)), "it verified no token since the gateway started"))
		}
	}
	return findings
}

func quotedOr(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return fmt.Sprintf("%q", name)
}

func unused(check, subject, message string) Finding {
	return Finding{
		Severity: Info,
		Check:    check,
		Subject:  subject,
		Message:  message,
		Remedy:   "if nobody needs it any more, remove it",
	}
}

// ofFunctions lists what anyone may call (contract 4.8).
func ofFunctions(p *projects.Project) []Finding {
	byMode := make(map[projects.CORSMode][]string)
	for f := range p.EachFunction() {
		if !f.VerifyJWT && f.Status != projects.StatusRemoved {
			byMode[f.CORS] = append(byMode[f.CORS], f.Slug)
		}
	}
	var findings []Finding
	if open := byMode[projects.CORSAuto]; len(open) > 0 {
		findings = append(findings, Finding{
			Severity: Low,
			Check:    "verify_jwt_off",
			Subject:  "project " + p.Ref + ", functions " + listed(open),
			Message:  "anyone may call them, from any page that the gateway's CORS policy allows",
			Remedy:   "set verify_jwt on, or have the function check its callers, and `cors function` if it checks origins",
		})
	}
	if open := byMode[projects.CORSFunction]; len(open) > 0 {
		findings = append(findings, Finding{
			Severity: Info,
			Check:    "verify_jwt_off",
			Subject:  "project " + p.Ref + ", functions " + listed(open),
			Message:  "anyone may call them; they answer preflights themselves",
			Remedy:   "have the function check its callers",
		})
	}
	if anonymous(p) {
		findings = append(findings, Finding{
			Severity: Info,
			Check:    "no_keys",
			Subject:  "project " + p.Ref,
			Message:  "it has neither keys nor secrets: functions with verify_jwt on refuse every call",
			Remedy:   "add jwt_secret, jwks or api_key",
		})
	}
	return findings
}

// anonymous reports whether a project with verified functions can verify nothing.
func anonymous(p *projects.Project) bool {
	verified := false
	for f := range p.EachFunction() {
		verified = verified || f.VerifyJWT
	}
	usage := p.Auth.Usage()
	return verified && len(usage.APIKeys)+len(usage.Secrets)+len(usage.PublicKeys)+len(usage.Remotes) == 0
}

func listed(slugs []string) string {
	if len(slugs) > shownFunctions {
		return strings.Join(slugs[:shownFunctions], ", ") + fmt.Sprintf(" and %d more", len(slugs)-shownFunctions)
	}
	return strings.Join(slugs, ", ")
}
