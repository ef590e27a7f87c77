package projects

import "time"

// FollowState is the state of a Follower, for `status` and the log.
type FollowState struct {
	// Watching is true while changes are noticed at once.
	Watching bool
	// Synced is when the store was last read wholly; zero for never.
	Synced time.Time
	// Err is the error of the last attempt to read or to watch; nil if it succeeded.
	// The content applied before stays in force.
	Err error
	// Problem describes why a working watch notices no changes, with the remedy; ""
	// if it does.
	Problem string
}

// State returns the current state.
func (f *Follower) State() FollowState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// update changes the state and calls FollowerConfig.State.
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

// different compares two states without the times of reads, except the first, and
// errors by their text.
func different(a, b FollowState) bool {
	return a.Watching != b.Watching || a.Problem != b.Problem || a.Synced.IsZero() != b.Synced.IsZero() || errorText(a.Err) != errorText(b.Err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
