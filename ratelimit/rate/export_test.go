package rate

// takeAt is Take at one moment by the limiter's time.
func (l *Limiter) takeAt(now int64, limits []*Limit, keys []Key, states []State) bool {
	return l.take(func() int64 { return now }, limits, keys, states)
}
