package admin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// maxQuestion bounds the body of a question, in bytes.
const maxQuestion = 256 << 10

// inspectToken answers what a token has in it and whether its project takes it.
func inspectToken(app *gateway.App, r *http.Request) (any, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxQuestion))
	var q gateway.TokenQuestion
	if err != nil || json.Unmarshal(data, &q) != nil || q.Token == "" {
		return nil, errors.New(`the body must be {"token":"...","project":"REF"}`)
	}
	project, err := projectOf(app.Projects(), q)
	if err != nil {
		return nil, err
	}
	answer := gateway.TokenAnswer{Project: project.Ref, Inspection: project.Auth.Inspect(q.Token, time.Now())}
	for _, c := range answer.Inspection.Checks {
		answer.Checks = append(answer.Checks, gateway.TokenCheck{
			Check:   c.Name,
			OK:      c.OK,
			Skipped: c.Skipped,
			Detail:  c.Detail,
		})
	}
	return answer, nil
}

// projectOf finds the project whose keys a token is judged by.
func projectOf(inForce iter.Seq[*projects.Project], q gateway.TokenQuestion) (*projects.Project, error) {
	all := slices.Collect(inForce)
	ref := q.Project
	if ref == "" && len(all) == 1 {
		return all[0], nil
	}
	if ref == "" {
		if ref = refClaim(q.Token); ref == "" {
			return nil, fmt.Errorf("there are %d projects and the token names none in a ref claim: name one", len(all))
		}
	}
	refs := make([]string, 0, len(all))
	for _, p := range all {
		if p.Ref == ref {
			return p, nil
		}
		refs = append(refs, p.Ref)
	}
	return nil, fmt.Errorf("project %q: there is none of this ref%s", ref, spelling.DidYouMean(ref, refs))
}

// refClaim reads the claim by which the platform's own tokens name their
// project. Nothing is verified by it.
func refClaim(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Ref string `json:"ref"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Ref
}
