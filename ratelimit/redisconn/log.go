package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// SetLogger has the Redis library log by a function, which must be safe for concurrent
// use; nil drops all messages. They are about servers that cannot be dialed and new
// masters, with addresses and errors, without keys, values and passwords. It holds for
// all users of the library in this process. Without it, the library writes to standard
// error.
func SetLogger(log func(message string)) { redis.SetLogger(logger(log)) }

// logger is a logger of the library.
type logger func(message string)

// Printf implements the library's interface.
func (l logger) Printf(_ context.Context, format string, values ...any) {
	if l != nil {
		l(fmt.Sprintf(format, values...))
	}
}
