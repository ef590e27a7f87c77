package audit

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/routing/auth/jwks"
	"github.com/edgegate/edgegate/routing/projects"
)

// Input has the values that an audit is computed from: the state of a running gateway
// and its configuration.
type Input struct {
	Config   map[string]any // Caddy's configuration, as it was loaded
	KeySets  []jwks.RemoteStatus
	Projects Projects
	Regions  Regions
	Auditors []Auditor // guest modules that judge themselves
	Ledger   Ledger
	Store    *Store    // nil without Redis
	Now      time.Time // usually time.Now()
}

// Projects are the projects in force and how loading them goes.
type Projects struct {
	InForce  iter.Seq[*projects.Project]
	Source   string // config, file, redis or the name of another source
	Error    string // why the latest projects are not in force; "" when they are
	Problems []projects.Problem
}

// Regions are the limits of what one project can take, and the lists of backends.
type Regions struct {
	ManyProjects  bool     // the projects come from a source
	CapPerProject bool     // `in_flight project` is configured
	Unbounded     []string // the regions without a capacity
	Lists         []List   // the lists of backends whose look-ups fail
}

// List is a list of backends whose look-ups fail.
type List struct {
	Region, Source string
	Age            time.Duration // of the last list; 0 if there is none
	Error          string        // of the last look-up
	Incomplete     bool          // the list is new, but for a part that Error says
}

// Ledger has the state of recording and of the granting of quotas.
type Ledger struct {
	Directory    string
	Down         error // why invocations cannot be recorded
	Degraded     error // why they can be recorded, but not for long
	Copied       error // says that Redis has later records than the directory
	QuotasDown   error // why hard quotas are not granted
	NoBills      error // why no bills are made
	UnknownZones []metering.UnknownZone

	LimitsUnknown error // why limits that were set may not be known
}

// Store is the Redis that gateways share.
type Store struct {
	URL    string // without credentials
	Server Server
	Peers  func(context.Context) (map[string]metering.Presence, error) // the gateways that counted there
	Copied []string                                                    // those on a copy of whose directory this one runs
	Held   func(context.Context) map[string]int64                      // units of gateways that are not there; needed if any is copied

	// Conditions returns how every Redis is that the gateway uses. It is called after
	// the server was asked.
	Conditions func() []logs.Condition
}

// Server is the server behind a Store. A *redisconn.Conn is one.
type Server interface {
	Settings(ctx context.Context, names ...string) (map[string]string, error)
	TellsRestarts(ctx context.Context) (bool, error)
	Replicas(ctx context.Context) (int, error)
	ClockOffset(ctx context.Context) (ahead, within time.Duration, err error)
}

// Find returns all findings, the most severe first. It waits for the store for at
// most three seconds and calls nobody else.
func Find(ctx context.Context, in *Input) Answer {
	return newAnswer(slices.Concat(
		ofConfig(in.Config), ofLogs(in.Config), ofLiterals(in.Config),
		ofKeySets(in.KeySets), ofProjects(&in.Projects, in.Now), ofRegions(&in.Regions), ofAuditors(in.Auditors),
		ofLedger(&in.Ledger), ofZones(&in.Ledger), ofStore(ctx, in.Store),
	))
}
