package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing/projects"
)

// maxProjects bounds a projects file, in bytes: ten thousand large projects
// are a tenth of it.
const maxProjects = 1 << 30

func projectsCheck(now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE [--config CADDYFILE | --apex DOMAIN --regions R,...] [-o table|json]",
		Short: "Says what is wrong with a projects file",
		Long: `Judges a projects file by the same code that loads it into a gateway, and says
all that is wrong, by JSON path and with the remedy. No gateway is needed. The
exit code is 1 if a gateway would refuse the file, or leave out functions that
are beyond a plan; warnings alone are 0.

FILE of - is standard input. {env.X} in keys and secrets is taken from the
environment, as the gateway does, and an unset variable is an error.

--config is the gateway's configuration (a Caddyfile, or Caddy's JSON): its apex
is no project's domain, its plans are those that may be named, and the regions
that projects are bound to must be among its own. Without one, --apex and
--regions say so much of it.`,
		Example: examples("projects check", " /etc/edgegate/projects.json", " projects.json --config Caddyfile", " projects.json --apex example.com --regions eu-central-1,us-east-1",
			" - -o json < projects.json"),
	}
	var file string
	config := cmd.Flags().String("config", "", "the gateway's configuration, for its apex, regions and plans")
	apex := cmd.Flags().String("apex", "", "the gateway's domain, as its option apex says it")
	regions := cmd.Flags().StringSlice("regions", nil, "the gateway's regions, separated by commas")
	output := outputFlag(cmd, "json")
	Run(cmd, func(context.Context) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		rules := projects.BuilderConfig{Apex: *apex, Regions: *regions, Resolve: options.ResolveSecret}
		if *config != "" {
			var err error
			if rules, err = configuredRules(*config, *apex != "" || len(*regions) > 0); err != nil {
				return err
			}
		}
		rules.Now = now
		data, err := readDocument(file, cmd.InOrStdin())
		if err != nil {
			return err
		}
		builder, err := projects.NewBuilder(rules)
		if err != nil {
			return &UsageError{Msg: fmt.Sprintf("--apex %q: %v", *apex, err), Hint: "it is a bare domain, such as example.com"}
		}
		result := judge(builder, data)
		if *output == "json" {
			err = showJSON(cmd, result)
		} else {
			err = show(cmd, []byte(result.text()))
		}
		if err == nil && !result.OK {
			return errVerdict
		}
		return err
	}, Arg{Name: "FILE", Value: &file})
	return cmd
}

// configuredRules takes the rules from a configuration file.
func configuredRules(file string, others bool) (projects.BuilderConfig, error) {
	if others {
		return projects.BuilderConfig{}, &UsageError{Msg: "--config says what --apex and --regions say", Hint: "leave them out"}
	}
	config, err := os.ReadFile(file)
	if err == nil && !json.Valid(config) {
		// Caddy's own loader would say what it does on standard error.
		config, _, err = caddyconfig.GetAdapter("caddyfile").Adapt(config, map[string]any{"filename": file})
	}
	var rules projects.BuilderConfig
	if err == nil {
		rules, err = gateway.ProjectRules(config)
	}
	if err != nil {
		return rules, &FailureError{
			Msg:  fmt.Sprintf("--config %s: %v", file, err),
			Hint: "`edgegate validate --config " + file + "` says more; it must have the global option edge_functions",
		}
	}
	return rules, nil
}

// readDocument returns what stands in a file, or on standard input for "-".
func readDocument(file string, input io.Reader) ([]byte, error) {
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, &FailureError{Msg: fmt.Sprintf("reading projects: %v", err), Hint: "FILE is a projects.json; - reads standard input"}
		}
		defer opened.Close()
		input = opened
	}
	data, err := io.ReadAll(io.LimitReader(input, maxProjects+1))
	if err == nil && len(data) > maxProjects {
		err = errors.New("it is larger than 1 GiB")
	}
	if err != nil {
		return nil, &FailureError{Msg: fmt.Sprintf("reading projects: %v", err), Hint: "FILE is a projects.json; - reads standard input"}
	}
	return data, nil
}

// judgement is the answer of projects check. With an error in the file the counts
// are 0: nothing of it would be in force.
type judgement struct {
	OK            bool               `json:"ok"`
	Projects      int                `json:"projects"`
	Functions     int                `json:"functions"`
	Organizations int                `json:"organizations"`
	LeftOut       int                `json:"left_out"` // functions beyond a plan, contract 7.6
	Errors        []projects.Problem `json:"errors"`
	More          int                `json:"more_errors,omitempty"` // errors that are not listed
	Warnings      []projects.Problem `json:"warnings"`
}

func judge(builder *projects.Builder, data []byte) judgement {
	result := judgement{Errors: []projects.Problem{}, Warnings: []projects.Problem{}}
	in, err := projects.SplitFile(data)
	var report projects.Report
	if err == nil {
		_, report, err = builder.Build(in)
	}
	result.Warnings = append(result.Warnings, report.Problems...)
	if err != nil {
		result.refuse(err)
		return result
	}
	result.Projects, result.Functions, result.Organizations = report.Projects, report.Functions, report.Organizations
	result.LeftOut = report.OverPlan
	result.OK = report.OverPlan == 0
	return result
}

// refuse lists what a gateway would refuse the file for.
func (j *judgement) refuse(err error) {
	if invalid, ok := errors.AsType[*projects.InvalidError](err); ok {
		j.Errors = append(j.Errors, invalid.Problems...)
		j.More = invalid.More
		return
	}
	j.Errors = append(j.Errors, projects.Problem{Message: err.Error()})
}

func (j *judgement) text() string {
	var b strings.Builder
	list := func(kind string, problems []projects.Problem) {
		for _, p := range problems {
			fmt.Fprintf(&b, "%-8s %s\n         %s\n", kind, printable(cmp.Or(p.Path, "the file")), printable(p.Message))
			if p.Remedy != "" {
				fmt.Fprintf(&b, "         Remedy: %s\n", printable(p.Remedy))
			}
		}
	}
	list("error", j.Errors)
	if j.More > 0 {
		fmt.Fprintf(&b, "and %s\n", plural(j.More, "more error"))
	}
	list("warning", j.Warnings)
	if len(j.Errors) > 0 {
		fmt.Fprintf(&b, "refused: %s, %s\n", plural(len(j.Errors)+j.More, "error"), plural(len(j.Warnings), "warning"))
		return b.String()
	}
	state := "ok"
	if !j.OK {
		state = plural(j.LeftOut, "function") + " beyond a plan"
	}
	fmt.Fprintf(&b, "%s: %s, %s, %s", state, plural(j.Projects, "project"), plural(j.Functions, "function"), plural(j.Organizations, "organization"))
	if len(j.Warnings) > 0 {
		fmt.Fprintf(&b, ", %s", plural(len(j.Warnings), "warning"))
	}
	b.WriteByte('\n')
	return b.String()
}
