package logs

import "sync/atomic"

// InvocationLogs knows which configuration's invocation log is the newest. A
// WebSocket may outlive its configuration, whose outputs are closed then: its line
// goes to the newest log.
type InvocationLogs struct {
	newest atomic.Pointer[InvocationLog] // nil: the newest configuration has none
	lost   atomic.Uint64
}

// Lost returns how many lines were lost, since outputs did not take them in time.
func (a *InvocationLogs) Lost() uint64 { return a.lost.Load() }

// InvocationTurn is the invocation log in the life of one configuration. The zero
// value logs nothing.
type InvocationTurn struct {
	all      *InvocationLogs
	own      *InvocationLog // nil without the option
	previous *InvocationLog // the newest one before
	over     atomic.Bool    // the outputs of own are closed, or will be at once
}

// Provide sets the configuration's own log, nil for none, before calls come.
func (t *InvocationTurn) Provide(all *InvocationLogs, own *InvocationLog) {
	t.all, t.own = all, own
	if own != nil {
		own.total = &all.lost
	}
}

// Start makes the log the newest.
func (t *InvocationTurn) Start() { t.previous = t.all.newest.Swap(t.own) }

// Stop says that the configuration ends, or that it did not start altogether. It
// waits for lines, a second at most.
func (t *InvocationTurn) Stop(exiting bool) {
	switch newest := t.all.newest.Load(); {
	case exiting:
	case newest == t.own: // no other has started since
		t.all.newest.CompareAndSwap(t.own, t.previous)
	default:
		t.over.Store(newest != nil)
	}
	t.previous = nil
	if t.own != nil {
		t.own.end()
	}
}

// End says that the outputs of the configuration are closed.
func (t *InvocationTurn) End() {
	t.over.Store(true)
	if t.own != nil {
		t.own.closed.Store(true)
	}
}

// For returns the log that has a line for the request; nil if none has.
func (t *InvocationTurn) For(requestID string) *InvocationLog {
	log := t.own
	if t.over.Load() {
		log = t.all.newest.Load()
	}
	if log == nil || log.closed.Load() || !log.Samples(requestID) {
		return nil
	}
	return log
}
