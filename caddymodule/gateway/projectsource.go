package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// sourceNamespace is the namespace of the modules that are a ProjectSource.
const sourceNamespace = "edge_functions.projects"

// firstLoadWait bounds how long the start of a configuration waits for the projects of
// a source on the network. The gateway starts without them after that, and answers
// calls 503 until they are loaded.
const firstLoadWait = 3 * time.Second

// ProjectSource is where organizations and projects come from: a guest module in
// the namespace edge_functions.projects, which `projects NAME` in a Caddyfile
// chooses. It is used by one App only. It may be a PreloadedSource, OperatorSource
// or StoreSource too. Package sources has those that come with the gateway, and an
// example of another.
type ProjectSource interface {
	caddy.Module

	// Location returns the address or path that the projects are read from, for
	// messages, without credentials.
	Location() string

	// Follow delivers the projects, and delivers them again whenever they change,
	// until ctx is done. Follow need not log an error of sink: the gateway does.
	Follow(ctx context.Context, sink ProjectSink)
}

// ProjectSink takes the projects that a source reads. It is safe for concurrent
// use.
type ProjectSink interface {
	// Apply puts all of the objects into force, or none of them.
	Apply(projects.Input) error

	// Fail notes that the source cannot be read. What was applied last stays in force.
	Fail(error)
}

// PreloadedSource is a ProjectSource that needs no connection. The gateway reads
// it with the configuration, which is refused if the projects are not valid. An
// error that is fs.ErrNotExist is a warning when the configuration is checked, and
// an error when it starts.
type PreloadedSource interface {
	ProjectSource

	// Load returns the projects as they are now. It is called before Follow, which
	// delivers what has changed since.
	Load() (projects.Input, error)
}

// OperatorSource is a ProjectSource that only the operator can write to. {env.NAME} is
// replaced in its keys and secrets, and it may name files of the gateway's machine. In
// all other sources both are errors: whoever writes to them could read the gateway's
// environment and files.
type OperatorSource interface {
	ProjectSource

	// OperatorOnly marks the source; it is never called.
	OperatorOnly()
}

// refusePlaceholders replaces options.ResolveSecret for sources that are no
// OperatorSource.
func refusePlaceholders(text string) (string, error) {
	if found := options.Placeholder(text); found != "" {
		return "", fmt.Errorf("%s is filled in only in the Caddyfile and in projects files; write the value itself, or the sha256 of an API key", found)
	}
	return text, nil
}

// StoreSource is a ProjectSource that may read from the store of the gateway.
type StoreSource interface {
	ProjectSource

	// UseStore is called once, after the source was provisioned and before Location,
	// with the option `store` of the configuration; nil if there is none.
	UseStore(store *Store) error

	// Connection returns the connection to Redis whose state `status` and the log
	// show; nil while there is none.
	Connection() *redisconn.Conn
}

func sourceNames() []string { return options.ModuleNames(sourceNamespace) }

// provisionCatalogue creates the catalogue that finds the project of a host.
func (a *App) provisionCatalogue(ctx caddy.Context, set *regions.Set) error {
	rules := a.projectRules(set)
	rules.Keys, rules.Shared = a.shared.keys, a.shared.tokens
	switch {
	case a.Project == nil && a.ProjectsRaw == nil:
		return errors.New(noProject)
	case a.Project != nil && a.ProjectsRaw != nil:
		return errors.New(bothProjects)
	case a.Project != nil:
		return a.provisionSingle(rules, set)
	}
	return a.provisionSource(ctx, rules)
}

func (a *App) provisionSingle(rules projects.BuilderConfig, set *regions.Set) error {
	rules.PrivateKeySets = true // the operator wrote them
	builder, err := projects.NewBuilder(rules)
	if err != nil {
		return err
	}
	config, err := a.Project.resolved()
	err = errors.Join(err, a.Project.checkRegions(set))
	project, problems, invalid := builder.ProjectOf(config, a.Project.account())
	if err = errors.Join(err, invalid); err != nil {
		return fmt.Errorf("project %s: %w", projects.DefaultRef, err)
	}
	for _, problem := range problems {
		a.logger.Warn("problem in project", zap.Stringer("problem", problem))
	}
	if project.Functions() == 0 {
		a.logger.Warn("project has no functions, every call is answered 404; add `function NAME` or `function *`",
			zap.String("project_ref", project.Ref))
	}
	a.single, a.problems = project, problems
	if config.JWT != nil {
		a.keyFile = config.JWT.JWKSFile
	}
	a.catalogue, err = projects.NewSingle(project, a.Apex)
	return err
}

// startSingle returns an error if the file of the key set is missing, which is only a
// warning of `edgegate validate`.
func (a *App) startSingle(context.Context) error {
	if a.keyFile != "" {
		if _, err := os.Stat(a.keyFile); err != nil {
			return fmt.Errorf("project %s: jwks: %w", projects.DefaultRef, err)
		}
	}
	return nil
}

// checkPlan returns an error if the plan of the single project does not exist.
func (a *App) checkPlan() error {
	if a.Project.Plan == "" {
		return nil
	}
	plans := a.plans()
	if _, ok := plans[a.Project.Plan]; !ok {
		names := slices.Sorted(maps.Keys(plans))
		return fmt.Errorf("plan %q: there is none of this name%s; plans are %s",
			a.Project.Plan, spelling.DidYouMean(a.Project.Plan, names), strings.Join(names, ", "))
	}
	return nil
}

func (a *App) provisionSource(ctx caddy.Context, rules projects.BuilderConfig) error {
	module, err := ctx.LoadModule(a, "ProjectsRaw")
	if err != nil {
		return err
	}
	a.source = module.(ProjectSource)
	if _, ok := a.source.(OperatorSource); !ok {
		rules.Resolve, rules.NoFiles = refusePlaceholders, true
	}
	builder, err := projects.NewBuilder(rules)
	if err != nil {
		return err
	}
	if user, ok := a.source.(StoreSource); ok {
		if err := user.UseStore(a.Store); err != nil {
			return err
		}
	}
	catalogue := new(projects.Catalogue)
	a.catalogue = catalogue
	a.keeper = &projectKeeper{
		logger:    a.logger.With(zap.String("source", a.source.Location())),
		builder:   builder,
		catalogue: catalogue,
		keys:      a.shared.keys,
		loaded:    make(chan struct{}),
		last:      a.shared.lastProjects(a.sourceName(), a.source.Location(), a.Apex),
	}
	readable, ok := a.source.(PreloadedSource)
	if !ok {
		return nil
	}
	input, err := readable.Load()
	if errors.Is(err, fs.ErrNotExist) {
		a.logger.Warn("projects not found; the gateway does not start without them", zap.Error(err))
		a.missing = err
		return nil
	}
	if err == nil {
		err = a.keeper.Apply(input)
	}
	if err != nil {
		return fmt.Errorf("projects %s %s: %w", a.sourceName(), a.source.Location(), err)
	}
	return nil
}

// sourceName returns the word after `projects` in a Caddyfile, "" without a source.
func (a *App) sourceName() string {
	if a.source == nil {
		return ""
	}
	return a.source.CaddyModule().ID.Name()
}

// followSource runs the source until ctx is done. It waits for its first projects.
func (a *App) followSource(ctx context.Context) error {
	if a.missing != nil {
		return a.missing
	}
	a.keeper.inherit()
	a.background.Go(func() { a.source.Follow(ctx, a.keeper) })
	if a.keeper.catalogue.Load() == nil {
		select {
		case <-a.keeper.loaded:
		case <-time.After(firstLoadWait):
			a.logger.Error("projects not loaded yet; calls are answered 503 until they are",
				zap.String("source", a.source.Location()))
		}
	}
	return nil
}

// ProjectRules returns the rules by which projects are checked in a configuration, which
// is given as Caddy's JSON: its apex, regions and plans. It opens no files or connections.
func ProjectRules(config []byte) (projects.BuilderConfig, error) {
	var document struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &document); err != nil {
		return projects.BuilderConfig{}, fmt.Errorf("reading the configuration: %w", err)
	}
	raw, ok := document.Apps["edge_functions"]
	if !ok {
		return projects.BuilderConfig{}, errors.New("the configuration has no edge_functions global option")
	}
	app := new(App)
	if err := json.Unmarshal(raw, app); err != nil {
		return projects.BuilderConfig{}, fmt.Errorf("reading the configuration of edge_functions: %w", err)
	}
	set, err := app.regionSet()
	if err != nil {
		return projects.BuilderConfig{}, err
	}
	return app.projectRules(set), nil
}

// ResolveKey is options.ResolveSecret for keys and secrets that no builder of
// projects checks: it refuses what cannot have been meant as one, such as a PEM
// file or a text with typographic quotation marks.
func ResolveKey(text string) (string, error) {
	resolved, err := options.ResolveSecret(text)
	if err == nil {
		err = projects.CheckSecret(resolved)
	}
	return resolved, err
}

// projectRules returns the rules by which projects are checked in this
// configuration.
func (a *App) projectRules(set *regions.Set) projects.BuilderConfig {
	return projects.BuilderConfig{
		Apex:           a.Apex,
		Regions:        set.Names(),
		Plans:          a.plans(),
		Resolve:        options.ResolveSecret,
		PrivateKeySets: a.JWKSPrivate,
	}
}
