package projects

import (
	"errors"
	"sync"
	"time"
)

// BuilderConfig is what a document is judged against.
type BuilderConfig struct {
	// Apex is the domain that <ref>.<apex> and <ref>.functions.<apex> are below
	// (BEHAVIOUR.md 1.1, 1.2). Default: none.
	Apex string
	// Regions are those of this gateway, for residency lists. Default: not checked.
	Regions []string
	// Plans are the plans by name. Default (nil): BuiltinPlans.
	Plans map[string]Plan
	// Resolve fills the {env.X} of keys and secrets. Its errors must not contain
	// what it filled in. Default: a placeholder is an error.
	Resolve func(text string) (string, error)
	// Now tells which API keys are expired. Default: time.Now.
	Now func() time.Time
}

// Builder turns documents into snapshots. It remembers what it built last, so
// that a document with one change costs little more than reading it. It is safe
// for concurrent use.
type Builder struct {
	config BuilderConfig
	suffix string

	mu sync.Mutex // guards the rest, what the last successful Build made
}

// NewBuilder returns a Builder.
func NewBuilder(config BuilderConfig) (*Builder, error) {
	suffix, err := apexSuffix(config.Apex)
	if err != nil {
		return nil, err
	}
	if config.Plans == nil {
		config.Plans = BuiltinPlans()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Builder{config: config, suffix: suffix}, nil
}

// Build returns the snapshot of what a source holds. Its error is an
// *InvalidError; what was built before stays what the next Build is compared to.
func (b *Builder) Build(in Input) (*Snapshot, Report, error) {
	return nil, Report{}, errors.New("not built")
}

// Project returns the one project of single-project mode: its ref is
// DefaultRef, and paths have no prefix. It returns what is wrong but refuses
// nothing; the error is an *InvalidError.
func (b *Builder) Project(cfg ProjectConfig) (*Project, []Problem, error) {
	return nil, nil, errors.New("not built")
}
