package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
)

// reply is an error that a Redis server answers.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// full is an error that knows its cause.
type full struct{}

func (full) Error() string      { return "the disk is full" }
func (full) KnownCause() string { return "the disk is full" }

// Causes are told in words that quote nothing of what was sent.
func TestStoreCause(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"none":              {nil, ""},
		"a reply":           {fmt.Errorf("setting: %w", reply("WRONGTYPE value "+marker)), "Redis answers WRONGTYPE"},
		"a refused write":   {reply("MISCONF " + marker), "Redis answers MISCONF"},
		"a connection":      {fmt.Errorf("asking about %s: %w", marker, dial), dial.Error()},
		"a full disk":       {fmt.Errorf("x: %w: %w", full{}, &fs.PathError{Op: "write", Path: "/x.123", Err: syscall.ENOSPC}), "the disk is full"},
		"one connection":    {&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: 41234}, Addr: &net.TCPAddr{Port: 6379}, Err: os.ErrDeadlineExceeded}, "read tcp :6379: i/o timeout"},
		"a file":            {fmt.Errorf("%s: %w", marker, &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}), "write /x: no space left on device"},
		"the system":        {fmt.Errorf("%s: %w", marker, syscall.EIO), "input/output error"},
		"too late":          {fmt.Errorf("%s: %w", marker, context.DeadlineExceeded), "context deadline exceeded"},
		"an end":            {fmt.Errorf("%s: %w", marker, io.ErrUnexpectedEOF), "unexpected EOF"},
		"anything else":     {errors.New("it is closed\n" + marker), "it is closed"},
		"one of a few ends": {io.EOF, "EOF"},
	} {
		if got := StoreCause(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
