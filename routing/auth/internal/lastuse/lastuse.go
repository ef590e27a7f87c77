// Package lastuse remembers when a key was last used, for audits that look for
// keys nobody needs.
//
// It decides how precise that is: to the second, so that a key which every
// request uses costs a read and not a write that all processors fight for.
package lastuse

import (
	"sync/atomic"
	"time"
)

// Stamp is the time of the last use. The zero Stamp was never used; it is safe
// for concurrent use and must not be copied.
type Stamp struct {
	second atomic.Int64
	// Smaller things share an allocation, and would live as long as it (package
	// weakmap).
	_ [8]byte
}

// Mark says that it was used at the time now. Earlier times than the last are
// taken too: it is the clock that moved. A nil Stamp forgets.
func (s *Stamp) Mark(now time.Time) {
	if s == nil {
		return
	}
	if second := now.Unix(); s.second.Load() != second {
		s.second.Store(second)
	}
}

// Time returns the last use, cut to the second, in UTC; the zero time if there
// was none.
func (s *Stamp) Time() time.Time {
	if s == nil {
		return time.Time{}
	}
	second := s.second.Load()
	if second == 0 {
		return time.Time{}
	}
	return time.Unix(second, 0).UTC()
}
