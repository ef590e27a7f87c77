package metering

import (
	"testing"
	"time"
)

// The age of the last sync is short while records reach the disk, and grows while the disk does not answer.
func TestSyncAge(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	until := func(what string, is func(time.Duration) bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !is(l.SyncAge()); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("after half a minute the age is %s, not %s", l.SyncAge(), what)
			}
		}
	}
	young := func(age time.Duration) bool { return age < time.Second }
	old := func(age time.Duration) bool { return age > 2*time.Second }
	until("young", young)
	s, r := numbers(t, l, "acme", "eu")
	answers := make(chan struct{})
	l.mu.Lock()
	l.own.log.active.Load().flush = func([]byte) error {
		<-answers
		return nil
	}
	l.mu.Unlock()
	if _, err := l.Admit(Invocation{Subject: s, Region: r, At: now}); err != nil {
		t.Fatal(err)
	}
	until("old", old)
	close(answers)
	until("young again", young)
}
