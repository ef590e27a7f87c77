package projects

import "time"

// FollowState is how following goes, for `status` and the log.
type FollowState struct {
	// Watching is true while changes are noticed at once.
	Watching bool
	// Synced is when the store was last read wholly; zero for never.
	Synced time.Time
	// Err is why the last attempt to read or to watch failed; nil if it did not.
	// What was applied stays in force.
	Err error
	// Problem is what keeps the watch from noticing changes, though it stands;
	// "" if nothing does. It has the remedy.
	Problem string
}

// State returns how following goes.
func (f *Follower) State() FollowState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// update changes the state and tells of it.
func (f *Follower) update(change func()) {
	f.mu.Lock()
	before := f.state
	change()
	f.state.Err = f.readErr
	if f.state.Err == nil {
		f.state.Err = f.watchErr
	}
	after := f.state
	f.mu.Unlock()
	if f.config.State != nil && different(before, after) {
		f.config.State(after)
	}
}

// different leaves out the time of reads, the first excepted, and compares errors
// by what they say.
func different(a, b FollowState) bool {
	return a.Watching != b.Watching || a.Problem != b.Problem || a.Synced.IsZero() != b.Synced.IsZero() || errorText(a.Err) != errorText(b.Err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
