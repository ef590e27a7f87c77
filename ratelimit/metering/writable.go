package metering

import "fmt"

// Writable returns nil while the next invocation can be recorded, and otherwise
// what every one is refused for. It looks at what recording looks at, and so
// knows without a request. Healthy fails earlier: while there is still room in
// the file that is in use.
func (l *Ledger) Writable() error {
	if err := l.own.log.writable(); err != nil {
		return err
	}
	if err := l.Healthy(); err != nil && l.strict.Load() {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// writable returns why the next record cannot be appended, as far as that was
// tried.
func (l *log) writable() error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if s := l.active.Load(); l.next != nil || s.taken.Load() < s.slots {
		return nil
	}
	return l.full
}
