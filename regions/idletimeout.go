package regions

// The idle timer ends an exchange whose backend is silent for Limits.Idle
// (contract 6.1). Until response headers, bytes of the request body and interim
// answers restart it; afterwards it runs only while a byte of the answer is
// awaited. start arms it, Exchange.mu guards it.

// idled ends the exchange at the idle limit: with ErrClientStalled if the client's
// body was awaited, else with ErrIdleTimeout.
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

// moved restarts the idle timer after a byte of the request body or an interim
// answer.
func (x *Exchange) moved() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.idle != nil && !x.answered && !x.over {
		x.idle.Reset(x.Limits.Idle)
	}
}

// gotHeaders stops the idle timer. From now on only awaitByte starts it: a request
// body that is still being sent must not, or a long answer would be cut.
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
