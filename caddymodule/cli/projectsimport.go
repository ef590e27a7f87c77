package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/atomicfile"
	"github.com/edgegate/edgegate/caddymodule/supabase"
	"github.com/edgegate/edgegate/routing/projects"
)

// The variables that stand for secrets in an imported project, named as in the
// .env of a self-hosted Supabase.
const (
	secretVariable      = "JWT_SECRET"
	publishableVariable = "SUPABASE_PUBLISHABLE_KEY"
	secretKeyVariable   = "SUPABASE_SECRET_KEY"
)

// importOptions are the flags of projects import.
type importOptions struct {
	dir, ref, organization, plan, out, output string
	force                                     bool
}

func projectsImport(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import --supabase DIR [--ref REF] [--organization ID [--plan P]] [--out FILE [--force]] [-o table|json]",
		Short: "Makes a projects file of a Supabase project's folder",
		Long: `Reads config.toml and the folder of functions in DIR, the folder supabase or the
one above it, and prints a projects file with that project: every function that
is served, with its verify_jwt. With --out it goes to a file, and what was left
out is printed.

The ref is --ref, else project_id where it has the form of a ref, else what
` + "`supabase link`" + ` noted. A [remotes.<name>] section with this ref is applied.

No secret is copied or made up: {env.JWT_SECRET} (or the variable that [auth]
jwt_secret names), {env.SUPABASE_PUBLISHABLE_KEY} and {env.SUPABASE_SECRET_KEY}
stand for them. The gateway takes the file once these are set; remove what the
project does not have.`,
		Example: examples("projects import", " --supabase .", " --supabase supabase --ref abcdefghijklmnopqrst --organization acme --plan pro --out projects.json"),
	}
	var opt importOptions
	f := cmd.Flags()
	f.StringVar(&opt.dir, "supabase", "", "the folder supabase, or the one it lies in")
	f.StringVar(&opt.ref, "ref", "", "the project's ref, twenty lower-case letters")
	f.StringVar(&opt.organization, "organization", "", "the id of the organization that the project belongs to")
	f.StringVar(&opt.plan, "plan", "", "the organization's plan")
	f.StringVar(&opt.out, "out", "", "write the projects file here")
	f.BoolVar(&opt.force, "force", false, "overwrite the file of --out")
	output := outputFlag(cmd, "json: of what was left out; the projects file is JSON anyway")
	Run(cmd, func(context.Context) error {
		opt.output = *output
		return importProject(cmd, opt, now)
	})
	return cmd
}

func (o importOptions) validate() error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	const usage = "usage: edgegate projects import --supabase DIR --organization ID --plan P --out FILE"
	switch {
	case o.dir == "":
		return &UsageError{Msg: "--supabase is missing", Hint: "name the folder that has config.toml in it: --supabase ./supabase"}
	case o.ref != "" && !projects.ValidRef(o.ref):
		return &UsageError{Msg: fmt.Sprintf("--ref %q: a ref is twenty lower-case letters", o.ref), Hint: "it is the first label of the project's address, https://<ref>.supabase.co"}
	case o.plan != "" && o.organization == "":
		return &UsageError{Msg: "--plan needs --organization: plans belong to organizations", Hint: usage}
	case o.force && o.out == "":
		return &UsageError{Msg: "--force needs --out", Hint: usage}
	}
	return nil
}

func importProject(cmd *cobra.Command, opt importOptions, now func() time.Time) error {
	if err := opt.validate(); err != nil {
		return err
	}
	found, err := supabase.Read(opt.dir, opt.ref)
	if err != nil {
		return readFailure(err)
	}
	if found.Ref == "" {
		return noRef(found)
	}
	document, variables := documentOf(found, opt)
	text, err := indented(document)
	if err != nil {
		return err
	}
	problems, err := checkImport(text, now)
	if err != nil {
		return err
	}
	result := importResult{
		File:      opt.out,
		Ref:       found.Ref,
		Functions: len(found.Functions),
		Variables: variables,
		Warnings:  append(append([]projects.Problem{}, found.Problems...), problems...),
	}
	summary := []byte(result.text())
	if opt.output == "json" {
		if summary, err = indented(result); err != nil {
			return err
		}
	}
	if opt.out == "" {
		// Standard output is the projects file, for the next command of a pipe.
		if err := show(cmd, text); err != nil {
			return err
		}
		_, _ = cmd.ErrOrStderr().Write(summary)
		return nil
	}
	if err := writeFile(opt.out, text, opt.force); err != nil {
		return err
	}
	return show(cmd, summary)
}

// documentOf is the projects file, and the variables that it needs.
func documentOf(found *supabase.Project, opt importOptions) (projects.Document, []string) {
	secret := cmp.Or(found.SecretVariable, secretVariable)
	p := projects.ProjectConfig{
		Ref:          found.Ref,
		Organization: opt.organization,
		JWT:          &projects.JWTConfig{Secret: "{env." + secret + "}"},
		APIKeys: []projects.APIKeyConfig{
			{Name: "default", Type: "publishable", Key: "{env." + publishableVariable + "}"},
			{Name: "default", Type: "secret", Key: "{env." + secretKeyVariable + "}"},
		},
	}
	for _, f := range found.Functions {
		verify := f.VerifyJWT()
		p.Functions = append(p.Functions, projects.FunctionConfig{Slug: f.Slug, VerifyJWT: &verify})
	}
	d := projects.Document{Projects: []projects.ProjectConfig{p}}
	if opt.organization != "" {
		d.Organizations = []projects.OrganizationConfig{{ID: opt.organization, Plan: opt.plan}}
	}
	return d, []string{secret, publishableVariable, secretKeyVariable}
}

// checkImport judges the file as projects check would, were the variables
// set: what is wrong then came from the flags.
func checkImport(text []byte, now func() time.Time) ([]projects.Problem, error) {
	builder, err := projects.NewBuilder(projects.BuilderConfig{
		// Keys of a project differ, and secrets are long enough.
		Resolve: func(text string) (string, error) { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))), nil }, Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("checking the project: %w", err)
	}
	result := judge(builder, text)
	if len(result.Errors) > 0 {
		lines, hint := make([]string, len(result.Errors)), "correct --organization"
		for i, p := range result.Errors {
			lines[i] = p.String()
			if strings.HasSuffix(p.Path, ".plan") {
				hint = "correct --plan; a plan of the gateway's own is written into the file afterwards"
			}
		}
		return nil, &UsageError{Msg: strings.Join(lines, "\n"), Hint: hint}
	}
	return result.Warnings, nil
}

func readFailure(err error) error {
	hint := "name the folder that has config.toml in it: --supabase ./supabase"
	if _, ok := errors.AsType[*supabase.ConfigError](err); ok {
		hint = "correct config.toml; `supabase start` needs it to be valid too"
	}
	return &FailureError{Msg: err.Error(), Hint: hint}
}

func noRef(found *supabase.Project) error {
	hint := "name the project with --ref, or run `supabase link`"
	if len(found.Refs) > 0 {
		hint += "; config.toml has the remotes " + strings.Join(found.Refs, ", ")
	}
	return &UsageError{Msg: found.Dir + " does not say the project's ref", Hint: hint}
}

// writeFile writes a whole file or none: gateways watch projects files.
func writeFile(path string, data []byte, force bool) error {
	fail := func(err error) error {
		return &FailureError{Msg: fmt.Sprintf("writing projects: %v", err), Hint: "--out names a file in a folder that you may write to"}
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return &FailureError{Msg: fmt.Sprintf("%s is there already", path), Hint: "name another file, or overwrite it with --force"}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	// There is no secret in it, and the gateway may run as another user.
	file, err := atomicfile.Create(path, 0o644)
	if err != nil {
		return fail(err)
	}
	defer file.Discard()
	if _, err := file.Write(data); err != nil {
		return fail(err)
	}
	if err := file.Commit(); err != nil {
		return fail(err)
	}
	return nil
}

// importResult is printed beside the projects file.
type importResult struct {
	File      string             `json:"file,omitempty"` // "" when it was printed
	Ref       string             `json:"ref"`
	Functions int                `json:"functions"`
	Variables []string           `json:"variables"` // of the environment, to be set for the gateway
	Warnings  []projects.Problem `json:"warnings"`
}

func (r importResult) text() string {
	var b strings.Builder
	for _, p := range r.Warnings {
		fmt.Fprintf(&b, "warning  %s\n         %s\n", printable(p.Path), printable(p.Message))
		if p.Remedy != "" {
			fmt.Fprintf(&b, "         Remedy: %s\n", printable(p.Remedy))
		}
	}
	if r.File != "" {
		fmt.Fprintf(&b, "%s: ", printable(r.File))
	}
	fmt.Fprintf(&b, "project %s with %s\n", r.Ref, plural(r.Functions, "function"))
	fmt.Fprintf(&b, "Secrets were not copied. Set for the gateway: %s\n", strings.Join(r.Variables, ", "))
	return b.String()
}
