package regions

// idled ends the exchange at the idle limit, by whose fault nothing moved.
func (x *Exchange) idled() {
	x.mu.Lock()
	stalled := !x.answered && x.body != nil && x.body.waiting.Load()
	x.mu.Unlock()
	if stalled {
		x.interrupt(ErrClientStalled)
		return
	}
	x.interrupt(ErrIdleTimeout)
}

// moved moves the idle timer: a byte of the request body is on its way, or an
// interim answer came.
func (x *Exchange) moved() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.idle != nil && !x.answered && !x.over {
		x.idle.Reset(x.Limits.Idle)
	}
}

// gotHeaders stops the idle timer for good, but for what awaitByte does: a
// body that is still being sent must not start it again, or a long answer
// would be cut.
func (x *Exchange) gotHeaders() {
	x.mu.Lock()
	x.answered = true
	x.mu.Unlock()
	x.gotByte()
}

// awaitByte and gotByte bracket each read of a streamed response, so that a
// client that reads slowly is not taken for a silent backend.
func (x *Exchange) awaitByte() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.idle != nil && !x.over {
		x.idle.Reset(x.Limits.Idle)
	}
}

func (x *Exchange) gotByte() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.idle != nil {
		x.idle.Stop()
	}
}
