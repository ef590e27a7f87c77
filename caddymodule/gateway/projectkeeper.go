package gateway

import (
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/routing/auth/jwks"
	"github.com/edgegate/edgegate/routing/projects"
)

// maxLoggedProblems bounds the number of log lines for the problems of one load;
// `edgegate projects check` lists all of them.
const maxLoggedProblems = 20

// projectKeeper is the ProjectSink of a configuration: it builds what the source
// delivers, and replaces the projects in force with it if it is valid.
type projectKeeper struct {
	logger    *zap.Logger
	builder   *projects.Builder
	catalogue *projects.Catalogue
	keys      *jwks.Pool // fetches the key sets of new projects
	last      *lastProjects

	building sync.Mutex // held by Apply, so that builds run one after the other

	mu     sync.Mutex // guards state
	state  projectState
	loaded chan struct{} // closed when the source has delivered valid projects
}

// projectState is the state of the projects in status and metrics.
type projectState struct {
	loadedAt time.Time // when the projects in force were loaded; zero if there are none
	err      error     // why the latest version is not in force; nil if it is
	failures uint64    // number of versions that could not be loaded
	report   projects.Report
	own      bool // this configuration has loaded projects
}

// lastProjects holds the projects that a source delivered last, beyond the end of a
// configuration: the next configuration serves them until its source has delivered.
type lastProjects struct {
	mu       sync.Mutex // guards the fields below
	snapshot *projects.Snapshot
	report   projects.Report
	loadedAt time.Time
}

// Destruct implements caddy.Destructor.
func (*lastProjects) Destruct() error { return nil }

// Apply implements ProjectSink.
func (k *projectKeeper) Apply(input projects.Input) error {
	k.building.Lock()
	defer k.building.Unlock()
	if input.KeepGood && len(input.Projects)+len(input.Organizations) == 0 && k.inherited() {
		k.Fail(errEmptied)
		return errEmptied
	}
	started := time.Now()
	snapshot, report, err := k.builder.Build(input)
	if err != nil {
		k.Fail(err)
		return err
	}
	k.catalogue.Swap(snapshot)
	k.setInForce(snapshot, report, started)
	k.logger.Info("projects loaded", zap.Int("projects", report.Projects), zap.Int("functions", report.Functions),
		zap.Int("unchanged", report.Reused), zap.Duration("took", time.Since(started)))
	k.logReport(report)
	return nil
}

// errEmptied says that a source whose records are written one by one has none, where the
// configuration before had some.
var errEmptied = errors.New("the source has no project and no organization any more, which looks like lost data: the projects loaded before the reload stay in force until it has one; to do without them, start the gateway again")

// inherited reports whether the projects in force are those of the configuration before,
// and there are any.
func (k *projectKeeper) inherited() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.state.own && k.state.report.Projects > 0
}

// setInForce notes the projects that were just swapped in, for status and for the next
// configuration.
func (k *projectKeeper) setInForce(snapshot *projects.Snapshot, report projects.Report, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.report, k.state.loadedAt, k.state.err = report, at, nil
	if report.Errors != nil {
		k.state.err = report.Errors
		k.state.failures++
	}
	if !k.state.own {
		k.state.own = true
		close(k.loaded)
	}
	k.last.mu.Lock()
	defer k.last.mu.Unlock()
	k.last.snapshot, k.last.report, k.last.loadedAt = snapshot, report, at
}

// logReport logs the projects that were not loaded, and the problems of those that
// were.
func (k *projectKeeper) logReport(report projects.Report) {
	if report.Errors != nil {
		k.logger.Error("invalid projects not loaded; the last good version of each stays in force",
			zap.Int("kept", report.Kept), zap.Int("left_out", report.Dropped), zap.Error(report.Errors))
	}
	for i, problem := range report.Problems {
		if i == maxLoggedProblems {
			k.logger.Warn("further problems in projects omitted", zap.Int("problems", len(report.Problems)-i))
			return
		}
		k.logger.Warn("problem in project", zap.Stringer("problem", problem))
	}
}

// Fail implements ProjectSink.
func (k *projectKeeper) Fail(err error) {
	k.mu.Lock()
	repeated := k.state.err != nil && k.state.err.Error() == err.Error()
	k.state.err = err
	k.state.failures++
	k.mu.Unlock()
	if !repeated {
		k.logger.Error("loading projects failed; the projects loaded before stay in force", zap.Error(err))
	}
}

// inherit puts the last delivered projects of the source into force, unless this
// configuration has loaded some already.
func (k *projectKeeper) inherit() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last.mu.Lock()
	defer k.last.mu.Unlock()
	if !k.state.own && k.last.snapshot != nil {
		k.catalogue.Swap(k.last.snapshot)
		k.state.report, k.state.loadedAt = k.last.report, k.last.loadedAt
	}
}

// current returns the state of the projects.
func (k *projectKeeper) current() projectState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Interface guards
var _ ProjectSink = (*projectKeeper)(nil)
