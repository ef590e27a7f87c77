package billing

import (
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

// Wildcard is the slug of a function that answers to every name.
const Wildcard = "*"

// maxNames bounds how many names that a project's wildcard matched are counted one by
// one (contract 7.7): names are chosen by callers, and each takes memory and disk space
// for ever.
const maxNames = 200

// functionNames decides under which name a function is counted.
type functionNames struct {
	projects *xsync.Map[string, *projectNames] // by ref
	recorded func(project string) []string     // the names that the ledger has of a project
}

// projectNames are the names that a project's wildcard matched.
type projectNames struct {
	mu    sync.Mutex // one new name at a time
	full  atomic.Bool
	names *xsync.Map[string, struct{}]
}

func newFunctionNames(recorded func(project string) []string) *functionNames {
	return &functionNames{projects: xsync.NewMap[string, *projectNames](), recorded: recorded}
}

// counted returns the name under which a call of slug is counted that a function
// of the project answers: the function's own, or for a wildcard the slug, as long
// as there are not too many.
func (f *functionNames) counted(project, function, slug string) string {
	if function != Wildcard {
		return function
	}
	p, ok := f.projects.Load(project)
	if !ok {
		p, _ = f.projects.LoadOrCompute(project, func() (*projectNames, bool) {
			p := &projectNames{names: xsync.NewMap[string, struct{}]()}
			for _, name := range f.recorded(project) {
				p.names.Store(name, struct{}{})
			}
			return p, false
		})
	}
	if _, ok := p.names.Load(slug); ok {
		return slug
	}
	if p.full.Load() {
		return Wildcard
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names.Size() >= maxNames {
		p.full.Store(true)
		return Wildcard
	}
	p.names.Store(slug, struct{}{})
	return slug
}
