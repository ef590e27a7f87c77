package billing

import "testing"

func TestBackoff(t *testing.T) {
	for failures, most := 1, exportRetry; failures < 30; failures++ {
		if got := backoff(failures); got < most/2 || got > most {
			t.Errorf("after %d failures it is waited %s, want %s to %s", failures, got, most/2, most)
		}
		most = min(2*most, exportRetryMost)
	}
}
