package projects

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// The names under which organizations and projects are in a shared store (Redis).
// Anything may write there; the gateway only reads.
//
// OrganizationsKey and ProjectsKey are hashes. A field of the first is an
// organization's id, of the second a project's ref; the value is the JSON of
// the one object, as in the lists of a projects file. An id or ref in the JSON
// must be the field's; left out, the field gives it. The braces put all three
// names into one slot of a Redis Cluster.
//
// Changes are noticed by keyspace notifications where the server has them on
// (notify-keyspace-events with K, g and h; the gateway never sets it), and by a
// message on ChangedChannel, whatever is in it, which a writer publishes after
// its write:
//
//	HSET edge:{projects}:organizations acme '{"plan":"pro"}'
//	HSET edge:{projects}:projects abcdefghijklmnopqrst '{"organization":"acme","functions":[{"slug":"hello"}]}'
//	PUBLISH edge:{projects}:changed ""
//
// Write an organization before its projects, and delete it after them. To
// replace everything at once, fill another key with the same braces and RENAME
// it. A store in which both hashes are gone has lost its data: what is in force
// stays until one of them is back.
const (
	OrganizationsKey = "edge:{projects}:organizations"
	ProjectsKey      = "edge:{projects}:projects"
	ChangedChannel   = "edge:{projects}:changed"
)

// Store is the store that a Follower reads.
type Store interface {
	// HashAll returns all fields of a hash; none if there is no such hash.
	HashAll(ctx context.Context, key string) (map[string]string, error)
	// Watch watches until it can't, and returns why, never nil.
	Watch(ctx context.Context, watch Watch) error
}

// Watch configures Store.Watch: the keys, and the functions to call. Neither
// function blocks.
type Watch struct {
	Keys    []string // whose changes count
	Channel string   // whose messages count
	// Changed is to be called once the watch is in place and then for every
	// change, perhaps for none.
	Changed func()
	// Problem is to be called once the watch is in place with what is wrong with
	// it, "" for nothing.
	Problem func(text string)
}

// FollowerConfig configures a Follower.
type FollowerConfig struct {
	Store Store
	// Apply takes all that is in the store, sorted, whenever something differs
	// from the last time. It is called by one goroutine; while it runs, changes
	// gather.
	Apply func(Input)
	// State is called whenever the state has changed but for the time of the
	// last read, perhaps by two goroutines at once; it must not block. Default:
	// none.
	State func(FollowState)
}

// Validate returns what is missing, joined.
func (c FollowerConfig) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("following projects: no store"))
	}
	if c.Apply == nil {
		errs = append(errs, errors.New("following projects: nobody to apply them"))
	}
	return errors.Join(errs...)
}

// Follower keeps a gateway's projects the same as those in a store, for as long
// as it runs, however often the store goes away. It judges no project: records
// go to Apply as they are.
type Follower struct {
	config  FollowerConfig
	changed chan struct{} // holds one

	mu       sync.Mutex // guards the state; no calls under it
	state    FollowState
	readErr  error
	watchErr error

	content fingerprint // what was applied last; of Run's goroutine
	applied bool
	loaded  bool // what was applied last was not empty
}

// NewFollower returns a Follower.
func NewFollower(config FollowerConfig) (*Follower, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Follower{config: config, changed: make(chan struct{}, 1), content: newFingerprint()}, nil
}

// Run follows until ctx is done. It is called once. Nothing is applied before
// the store could be read for the first time, which Run tries for ever.
func (f *Follower) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { f.watch(ctx) })
	f.read(ctx)
}

// watch keeps a watch in place. Whatever ends one may have hidden changes, which
// the first call of Changed by the next makes good. Where no watch can be had,
// each attempt still has the store read: it may be there all the same.
func (f *Follower) watch(ctx context.Context) {
	retry := newBackoff()
	for ctx.Err() == nil {
		stood := false
		err := f.config.Store.Watch(ctx, Watch{
			Keys:    []string{OrganizationsKey, ProjectsKey},
			Channel: ChangedChannel,
			Changed: func() {
				f.update(func() { f.state.Watching, f.watchErr, stood = true, nil, true })
				f.signal()
			},
			Problem: func(text string) {
				f.update(func() { f.state.Problem = text })
			},
		})
		if ctx.Err() != nil {
			return
		}
		f.update(func() {
			f.state.Watching, f.watchErr = false, err
			if stood {
				retry.reset()
			}
		})
		f.signal()
		sleep(ctx, retry.next())
	}
}

func (f *Follower) signal() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// sync reads everything and applies it if it differs from the last time. Projects
// are read first: an organization that was written before its project is then
// there too. It returns how many bytes that were, and how long the store took.
func (f *Follower) sync(ctx context.Context) (size int, took time.Duration, err error) {
	started := time.Now()
	projects, err := f.config.Store.HashAll(ctx, ProjectsKey)
	if err != nil {
		return 0, 0, err
	}
	organizations, err := f.config.Store.HashAll(ctx, OrganizationsKey)
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(started)
	content := f.content.of(organizations, projects)
	size = content.size
	empty := len(projects)+len(organizations) == 0
	if empty && f.loaded {
		return size, took, errLost
	}
	if f.applied && content == f.content {
		return size, took, nil
	}
	f.config.Apply(Input{
		Organizations: records(OrganizationsKey, organizations),
		Projects:      records(ProjectsKey, projects),
		KeepGood:      true,
	})
	f.content, f.applied, f.loaded = content, true, !empty
	return size, took, nil
}

var errLost = fmt.Errorf("%s and %s are both gone, which looks like lost data: the projects in force stay until one of them is back", OrganizationsKey, ProjectsKey)

// records has them in the order of their fields, so that the same content always
// gives the same snapshot and the same messages.
func records(key string, fields map[string]string) []Record {
	list := make([]Record, 0, len(fields))
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		list = append(list, Record{Path: key + " " + printable(field), Key: field, JSON: []byte(fields[field])})
	}
	return list
}

// printable keeps what anybody may have written into a store from breaking up a
// line of a log.
func printable(field string) string {
	for i := 0; i < len(field); i++ {
		if field[i] <= ' ' || field[i] > '~' {
			return fmt.Sprintf("%.80q", field)
		}
	}
	return field
}
