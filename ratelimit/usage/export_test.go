package usage

// AtSteps has f called between any two steps of rounds.
func (o *Outbox) AtSteps(f func(step string)) { o.step = f }
