package gateway

import (
	"context"
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

// sourceNamespace is where the modules of ProjectSource are.
const sourceNamespace = "edge_functions.projects"

// firstLoad is how long the start waits for a source that is asked over the
// network. It goes on without: calls are 503 until the projects are there.
const firstLoad = 3 * time.Second

// ProjectSource is where organizations and projects come from: a guest module
// in the namespace edge_functions.projects. It is used by one App only.
type ProjectSource interface {
	caddy.Module

	// Location tells people where it reads, without credentials.
	Location() string

	// Follow hands over what there is and what it becomes, until ctx ends.
	Follow(ctx context.Context, sink ProjectSink)
}

// ProjectSink takes what a source reads. It is safe for concurrent use.
type ProjectSink interface {
	// Apply puts the objects into force as a whole, or not at all.
	Apply(projects.Input) error

	// Fail notes that the source cannot be read. What was applied stays.
	Fail(error)
}

// loadedFirst is a source that needs no connection: it is read, and judged,
// with the configuration.
type loadedFirst interface {
	Load() (projects.Input, error)
}

// operatorsOwn is a source that nobody but the operator can write: {env.NAME} in
// its keys and secrets is filled in. In all others, which tenants' tools may
// write, it is an error: they could read the gateway's environment.
type operatorsOwn interface{ operatorsOwn() }

// refusePlaceholders takes the place of options.ResolveSecret for what others write.
func refusePlaceholders(text string) (string, error) {
	if found := options.Placeholder(text); found != "" {
		return "", fmt.Errorf("%s is filled in only in the Caddyfile and in projects files; write the value itself, or the sha256 of an API key", found)
	}
	return text, nil
}

// storeUser is a source that may read from the store of the gateway.
type storeUser interface {
	useStore(*Store) error

	// connection returns the one in use, nil before there is one.
	connection() *redisconn.Conn
}

func sourceNames() []string { return options.ModuleNames(sourceNamespace) }

// provisionCatalogue makes what answers which project a host belongs to.
func (a *App) provisionCatalogue(ctx caddy.Context, set *regions.Set) error {
	rules := a.projectRules(set)
	rules.Keys, rules.Shared = a.lease.keys, a.lease.tokens
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

// projectRules is what projects must be like in this configuration.
func (a *App) projectRules(set *regions.Set) projects.BuilderConfig {
	return projects.BuilderConfig{Apex: a.Apex, Regions: set.Names(), Plans: a.plans(), Resolve: options.ResolveSecret, PrivateKeySets: a.JWKSPrivate}
}

func (a *App) provisionSingle(rules projects.BuilderConfig, set *regions.Set) error {
	rules.PrivateKeySets = true // it is the operator who wrote them
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
		a.logger.Warn("problem with the project", zap.Stringer("problem", problem))
	}
	if project.Functions() == 0 {
		a.logger.Warn("no function is listed, every call will be 404; add `function NAME` or `function *`",
			zap.String("project_ref", project.Ref))
	}
	a.single, a.problems = project, problems
	if config.JWT != nil {
		a.keyFile = config.JWT.JWKSFile
	}
	a.catalogue, err = projects.NewSingle(project, a.Apex)
	return err
}

// startSingle finds out what `validate` lets pass with a warning.
func (a *App) startSingle(context.Context) error {
	if a.keyFile != "" {
		if _, err := os.Stat(a.keyFile); err != nil {
			return fmt.Errorf("project %s: jwks: %w", projects.DefaultRef, err)
		}
	}
	return nil
}

// checkPlan says whether the plan of the one project exists.
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
	if _, ok := a.source.(operatorsOwn); !ok {
		rules.Resolve, rules.NoFiles = refusePlaceholders, true
	}
	builder, err := projects.NewBuilder(rules)
	if err != nil {
		return err
	}
	if user, ok := a.source.(storeUser); ok {
		if err := user.useStore(a.Store); err != nil {
			return err
		}
	}
	catalogue := new(projects.Catalogue)
	a.catalogue = catalogue
	a.keeper = &projectKeeper{
		logger:  a.logger.With(zap.String("source", a.source.Location())),
		builder: builder, catalogue: catalogue, keys: a.lease.keys, loaded: make(chan struct{}),
		last: a.lease.lastProjects(a.sourceName(), a.source.Location(), a.Apex),
	}
	readable, ok := a.source.(loadedFirst)
	if !ok {
		return nil
	}
	input, err := readable.Load()
	if errors.Is(err, fs.ErrNotExist) {
		a.logger.Warn("there are no projects yet, the gateway does not start without them", zap.Error(err))
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

// certifiable reports whether a certificate for the name may be asked for: any
// host of the projects, but in single-project mode, which answers on all hosts,
// those that are listed.
func (a *App) certifiable(name string) bool {
	match, ok := a.catalogue.Find(name)
	return ok && !(a.single != nil && match.Shared) && projects.NormalizeHost(name) == strings.ToLower(name)
}

// sourceName is the word after `projects` in a Caddyfile, "" without a source.
func (a *App) sourceName() string {
	if a.source == nil {
		return ""
	}
	return a.source.CaddyModule().ID.Name()
}

// follow runs the source until ctx ends.
func (a *App) follow(ctx context.Context) error {
	if a.missing != nil {
		return a.missing
	}
	a.keeper.inherit()
	a.background.Go(func() { a.source.Follow(ctx, a.keeper) })
	if a.keeper.catalogue.Load() == nil {
		select {
		case <-a.keeper.loaded:
		case <-time.After(firstLoad):
			a.logger.Error("there are no projects yet, calls are answered 503 until they are loaded",
				zap.String("source", a.source.Location()))
		}
	}
	return nil
}
