package regions

import "time"

// ClientRTT is to come.
func ClientRTT(c Client, r *Region) (time.Duration, bool) { return 0, false }
