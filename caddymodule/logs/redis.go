package logs

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// The Redis library has one logger for the whole process, and writes plain text
// to standard error if none is set. It is set once, before the first client is
// made: the library reads it without a lock.
var (
	redisLogs   sync.Once
	redisLogger atomic.Pointer[zap.Logger] // of the configuration in force
)

// UseForRedis writes the messages of the Redis library to a logger, at most one
// line a second: while a server is away, the library says the same for each
// connection. The logger of the last call is used.
func UseForRedis(logger *zap.Logger) {
	redisLogger.Store(logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 1, 0)
	})))
	redisLogs.Do(func() {
		redisconn.SetLogger(logRedisMessage)
	})
}

func logRedisMessage(message string) {
	redisLogger.Load().Warn("Redis client", zap.String("said", Mask(message)))
}
