package logs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// knownCause is an error that knows what is wrong, in words that are safe to log and the
// same each time.
type knownCause interface {
	error
	KnownCause() string
}

// StoreCause describes why a store cannot be written or asked, in words that are
// safe to log: replies of Redis may quote what they were sent, so that only their
// code is told, and the same for all calls that fail for one cause: no port that the
// system chose for a connection is in it. It is "" for nil.
func StoreCause(err error) string {
	if err == nil {
		return ""
	}
	if known, ok := errors.AsType[knownCause](err); ok {
		return known.KnownCause()
	}
	if code := redisconn.ReplyCode(err); code != "" {
		return "Redis answers " + code
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		from := *op
		from.Source = nil
		return from.Error()
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Error()
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	for _, known := range []error{context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return FirstLine(err)
}

// FirstLine returns the first line of an error's text.
func FirstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
