package metering

import "context"

// Hooks are functions that a mirror calls.
type Hooks struct {
	// Trouble is called with the error when sums cannot be sent, and with nil when they
	// can be again.
	Trouble func(error)
	// Join is called before the first sums are sent, and before all are sent again
	// because Redis lost some. After an error nothing is sent, and it is called again.
	// Optional.
	Join func(ctx context.Context) error
}

// join calls Hooks.Join, unless that succeeded before and again is false.
func (m *Mirror) join(ctx context.Context, again bool) error {
	m.joining.Lock()
	defer m.joining.Unlock()
	if m.hooks.Join == nil || m.joined && !again {
		return nil
	}
	if err := m.hooks.Join(ctx); err != nil {
		return err
	}
	m.joined = true
	return nil
}
