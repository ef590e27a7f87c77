package usage

// AtSteps has f called between any two steps of rounds.
func (o *Outbox) AtSteps(f func(step string)) { o.step = f }

// NoSync has the line store not wait for the disk: the end of the machine would lose it.
func (b *LineStore) NoSync() { b.noSync = true }
