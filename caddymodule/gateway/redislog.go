package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// The Redis library has one logger for the whole process, and writes plain text
// to standard error without. It is set once, before the first client is made: the
// library reads it without a lock.
var (
	redisLogs   sync.Once
	redisLogger atomic.Pointer[zap.Logger] // of the configuration in force
)

// logRedis has what the Redis library says go to the log, at most one line a
// second: with a server that is away it says the same for each connection.
func logRedis(logger *zap.Logger) {
	redisLogger.Store(logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 1, 0)
	})))
	redisLogs.Do(func() {
		redisconn.SetLogger(func(message string) {
			redisLogger.Load().Warn("Redis client", zap.String("said", maskText(message)))
		})
	})
}
