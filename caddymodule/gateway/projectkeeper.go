package gateway

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/routing/auth/jwks"
	"github.com/edgegate/edgegate/routing/projects"
)

// maxLoggedProblems bounds the lines that one load writes to the log; status
// has the same list, and `edgegate projects check` all of it.
const maxLoggedProblems = 20

// projectKeeper keeps the projects in force: what a source delivers is built
// beside them and takes their place when it is good.
type projectKeeper struct {
	logger    *zap.Logger
	builder   *projects.Builder
	catalogue *projects.Catalogue
	keys      *jwks.Pool // asked for the sets of new projects
	last      *lastProjects

	building sync.Mutex // one build after the other, in the order of Apply

	mu     sync.Mutex // guards state
	state  projectState
	loaded chan struct{} // closed when this configuration's source delivered
}

// projectState is what status and metrics tell about the projects.
type projectState struct {
	loadedAt time.Time // of what is in force; zero when nothing is
	err      error     // why the latest is not in force; nil when it is
	failures uint64    // how often that was so
	report   projects.Report
	own      bool // loaded by this configuration
}

// lastProjects outlives configurations: a new one goes on with the projects of
// the one before until its own source has delivered.
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

// logReport logs what refuses nothing and yet wants to be known.
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

// inherit puts the projects of the configuration before into force, unless
// there are own ones.
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

// current returns what status and metrics tell.
func (k *projectKeeper) current() projectState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Interface guards
var _ ProjectSink = (*projectKeeper)(nil)
