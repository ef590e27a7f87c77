//go:build unix

package invocations_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// A question holds nothing that others wait for while it reads: with a file that does not come, calls are recorded, files
// are begun and archived, and sums are read.
func TestNobodyWaitsForAQuestion(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	manyCalls(t, l, 20_000)
	l, archives := archived(t, l, dir)
	pipe := archives[0]
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	asked := make(chan invocations.TopAnswer, 1)
	go func() {
		a, err := invocations.Top(context.Background(), l.RecordLogs(), invocations.TopQuery{Query: invocations.Query{Limit: 1}})
		if err != nil {
			t.Error(err)
		}
		asked <- a
	}()
	time.Sleep(100 * time.Millisecond) // it waits for somebody to open the pipe for writing, or soon does
	call := callOf(t, l, "shop", "hello", "eu", l.Now())
	for range 100_000 { // over the end of a file
		done(t, l, admit(t, l, call), call, metering.Ending{Status: 200})
	}
	if _, err := l.Usage(); err != nil {
		t.Error(err)
	}
	if n := len(l.Orphans()); n != 0 {
		t.Errorf("%d orphans", n)
	}
	select {
	case a := <-asked:
		t.Fatalf("the question did not wait for the pipe: %+v", a)
	default:
	}
	waitFor(t, "the question reads", func() bool {
		writer, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails until somebody reads
		return err == nil && writer.Close() == nil
	})
	select {
	case a := <-asked:
		if len(a.Findings) != 1 || a.Findings[0].File != pipe {
			t.Errorf("found %+v", a.Findings)
		}
	case <-time.After(time.Minute):
		t.Fatal("the question waits on")
	}
}
