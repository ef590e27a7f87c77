package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// SetLogger hands what the Redis library has to say (servers that can't be
// dialed, new masters) to log, which must be safe for concurrent use; nil drops
// it. It holds for the whole process and for whoever else uses the library;
// without it the library writes to standard error. The messages have addresses
// and errors in them, no keys, values or passwords.
func SetLogger(log func(message string)) { redis.SetLogger(logger(log)) }

type logger func(message string)

// Printf implements the library's interface.
func (l logger) Printf(_ context.Context, format string, values ...any) {
	if l != nil {
		l(fmt.Sprintf(format, values...))
	}
}
